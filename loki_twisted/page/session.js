// One session: how it stands, what can be done with it, and its views.

import { html, useRef, useState } from "./html.js";
import { download, forget, interrupt, pause, resume, stop } from "./actions.js";
import { Charts } from "./charts.js";
import { Conversation } from "./conversation.js";
import { Log } from "./log.js";
import { Barred, Careful, Empty, Guard, Icon, Progress, State, hasEnded, kindOf, nameOf, shortId, shortPath, standing } from "./parts.js";
import { Question } from "./questions.js";
import { inputs, may, opened, sessions } from "./store.js";
import { Tasks, Timeline } from "./tasks.js";
import { Ago, Took, clean, compact, duration, millis, money, now } from "./text.js";

const TABS = [
  ["", "Conversation", Conversation],
  ["tasks", "Tasks", Tasks],
  ["timeline", "Timeline", Timeline],
  ["log", "Log", Log],
  ["usage", "Usage", Charts],
];

export function SessionView({ id, tab }) {
  const session = sessions.value.get(id);
  const model = opened.value;
  if (model?.missing.value) {
    return html`<div class="view"><${Empty} title="There is no such session">Its record may have been deleted. <a href="#/">All sessions</a><//></div>`;
  }
  if (!session || model?.id !== id) {
    return html`<div class="view">${model?.failure.value ? html`<${Failure} model=${model} />` : html`<p class="note" role="status">Reading\u2026</p>`}</div>`;
  }
  const [, , View] = TABS.find(([name]) => name === tab) ?? TABS[0];
  const open = inputs.value.filter((each) => each.sessionId === id);
  // In the conversation a question stands where it was asked.
  const seen = open.length && tab === "" && model.talk.version.value >= 0 ? model.talk.items.map((each) => each.data.inputId) : [];
  const asked = open.filter((each) => !seen.includes(each.id));
  return html`
    <div class="session">
      <header class="session-head">
        <div class="title">
          <a class="button quiet round" href="#/" aria-label="All sessions"><${Icon} name="back" /></a>
          <h1>${nameOf(session)}</h1>
          <${State} session=${session} />
        </div>
        <${Actions} session=${session} />
        ${open.length === 0 && html`<${Reason} session=${session} />`}
        <${Figures} session=${session} />
      </header>
      <nav class="tabs" aria-label="Views of the session">
        ${TABS.map(
          ([name, word]) => html`
            <a href=${`#/session/${encodeURIComponent(id)}${name ? `/${name}` : ""}`} aria-current=${tab === name ? "page" : undefined}>
              ${word}${name === "tasks" && session.taskCount > 0 && html` <span class="num">${session.taskCount}</span>`}
            </a>
          `,
        )}
      </nav>
      ${asked.length > 0 &&
      html`<section class="asked" aria-label="Open questions">${asked.map((input) => html`<${Question} key=${input.id} input=${input} alone />`)}</section>`}
      <${Failure} model=${model} />
      <section class="pane" aria-label=${TABS.find(([name]) => name === tab)?.[1] ?? "Conversation"}>
        <${Guard} key=${tab}><${View} model=${model} session=${session} /><//>
      </section>
    </div>
  `;
}

function Failure({ model }) {
  if (!model.failure.value) return null;
  return html`<p class="note bad" role="alert">${model.failure.value} <button type="button" class="link" onClick=${() => model.load()}>Try again</button></p>`;
}

function Reason({ session }) {
  if (!session.reason) return null;
  const until = millis(session.reasonUntil);
  const left = until === null ? "" : until > now.value ? ` \u2014 ${duration(until - now.value)} left` : "";
  return html`<p class=${`reason tone-${standing(session)[1]}`}>${clean(session.reason)}${left}</p>`;
}

function Actions({ session }) {
  const [more, setMore] = useState(false);
  const { id, status } = session;
  const ended = hasEnded(session);
  const menu = useRef(null);
  const fold = () => {
    setMore(false);
    menu.current?.focus();
  };
  const steers = may("write") && !ended;
  return html`
    <div class="actions">
      ${!steers && !ended && html`<${Barred} scope="write" what="Steering it" />`}
      ${steers && status === "running" && html`<button type="button" class="button" onClick=${() => pause(id)}><${Icon} name="pause" />Pause</button>`}
      ${steers && status === "paused" && html`<button type="button" class="button primary" onClick=${() => resume(id)}><${Icon} name="play" />Resume</button>`}
      ${steers && status !== "stopping" && html`<${Careful} icon="stop" label="Stop" again="Really stop" onClick=${() => stop(id)} />`}
      <div class="menu">
        <button type="button" ref=${menu} class="button quiet round" aria-expanded=${more} aria-label="More actions" onClick=${() => setMore(!more)}><${Icon} name="more" /></button>
        ${more &&
        html`<div class="menu-items" onKeyDown=${(event) => event.key === "Escape" && fold()}>
          ${steers && session.acceptsInput && html`<button type="button" class="button quiet" onClick=${() => (fold(), interrupt(id))}><${Icon} name="close" />Leave off what it does</button>`}
          <button type="button" class="button quiet" onClick=${() => (fold(), download(id, "stdout"))}><${Icon} name="save" />Save the raw output</button>
          <button type="button" class="button quiet" onClick=${() => (fold(), download(id, "stderr"))}><${Icon} name="save" />Save standard error</button>
          ${ended && html`<${Barred} scope="admin" what="Deleting" />`}
          ${ended && may("admin") && html`<${Careful} icon="trash" kind="quiet" label="Delete the record" again="Really delete it" onClick=${async () => (await forget(id)) && (location.hash = "#/")} />`}
        </div>`}
      </div>
    </div>
  `;
}

function Figures({ session }) {
  const started = millis(session.startedAt);
  const ended = hasEnded(session) ? millis(session.updatedAt) : null;
  const { usage, agents } = session;
  return html`
    <dl class="figures">
      <div><dt>Time</dt><dd><${Took} from=${started} to=${ended} /></dd></div>
      <div class="wide"><dt>Phase</dt><dd>${session.currentPhase ? clean(session.currentPhase) : "\u2013"}</dd></div>
      <div><dt>Tasks</dt><dd><${Progress} done=${session.completedTasks} all=${session.taskCount} tone=${standing(session)[1]} /></dd></div>
      <div><dt>Tokens</dt><dd class="num">${compact(usage.tokensUsed)}</dd></div>
      <div><dt>Cost</dt><dd class="num" title=${`The cost is ${usage.costOrigin ?? "unknown"}.`}>${money(usage.cost)}</dd></div>
      <div class="wide"><dt>Agents</dt><dd class="num">${agents.active ? `${agents.active} at work` : agents.spawned || "\u2013"}</dd></div>
      <div class="wide"><dt>Agent</dt><dd>${kindOf(session)}${session.model ? ` \u00b7 ${clean(session.model)}` : ""}</dd></div>
      <div class="wide"><dt>Directory</dt><dd class="path" title=${clean(session.projectDir)}>${shortPath(session.projectDir)}</dd></div>
      <div class="wide"><dt>Started</dt><dd><${Ago} at=${started} /></dd></div>
      ${session.exitCode !== null && html`<div class="wide"><dt>Exit code</dt><dd class="num">${session.exitCode}</dd></div>`}
      ${session.continues && html`<div class="wide"><dt>Goes on with</dt><dd><a href=${`#/session/${encodeURIComponent(session.continues)}`}>${shortId(session.continues)}</a></dd></div>`}
    </dl>
  `;
}
