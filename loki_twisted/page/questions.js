// What agents ask: one card for each question, wherever it is shown.

import { html, useState } from "./html.js";
import { answer } from "./actions.js";
import { Call } from "./call.js";
import { Barred, Empty, Guard, Icon, Prose, nameOf, promptOf, regainFocus } from "./parts.js";
import { inputs, may, ready, sessions, settled } from "./store.js";
import { Ago, absolute, clean, duration, firstLine, millis, now, plural, shorten } from "./text.js";

const KINDS = { permission: "Permission", question: "Question", plan: "Plan" };

/** How long an answer counts, and what becomes of the question then. */
function TimeLeft({ input }) {
  const until = millis(input.expiresAt);
  if (until === null) return null;
  const left = Math.max(0, until - now.value);
  const share = Math.min(1, left / Math.max(1, until - millis(input.createdAt)));
  return html`
    <span class=${`left ${left < 15_000 ? "soon" : ""}`} title=${`Until ${absolute(until)}`}>
      <span class="bar" aria-hidden="true"><span style=${{ width: `${100 * share}%` }}></span></span>
      <span class="num">${left ? `${duration(left)} left` : "out of time"}</span>
    </span>
  `;
}

function Context({ details }) {
  const { tool, arguments: given, plan, reason, path, ...others } = details ?? {};
  const text = typeof plan === "string" ? plan : null;
  const rest = Object.entries(others).filter(([, value]) => typeof value === "string" && value);
  if (!tool && !text && !reason && !path && !rest.length && given === undefined) return null;
  return html`
    <div class="context">
      ${reason && html`<p>${clean(reason)}</p>`}
      ${(tool || given !== undefined) && html`<${Call} tool=${tool ?? "Call"} input=${given} unfolded />`}
      ${text && html`<${Prose} text=${text} />`}
      ${path && html`<p><code>${clean(path)}</code></p>`}
      ${rest.length > 0 &&
      html`<dl class="facts">${rest.map(([name, value]) => html`<div><dt>${clean(name)}</dt><dd>${shorten(clean(value), 400)}</dd></div>`)}</dl>`}
    </div>
  `;
}

const MOST_LABEL = 200; // characters: a button that fills the screen hides the others

const toneOf = (option) => ({ allow: "primary", deny: "danger" })[option.effect] ?? "";

/** A question with its buttons. In `brief` without what the answer hardly needs. */
export const Question = (given) => html`<${Guard}><${Card} ...${given} /><//>`;

function Card({ input, brief, alone }) {
  const session = sessions.value.get(input.sessionId);
  return html`
    <article class=${`question ${brief ? "brief" : ""}`} aria-label=${`${KINDS[input.kind] ?? "Question"}: ${shorten(firstLine(promptOf(input)), 200)}`}>
      <header>
        <span class="tag tone-wait">${KINDS[input.kind] ?? input.kind}</span>
        ${!alone && !brief && session &&
        html`<a href=${`#/session/${encodeURIComponent(session.id)}`}>${nameOf(session)}</a><span class="faint">${session.provider}</span>`}
        ${!brief && html`<span class="faint"><${Ago} at=${millis(input.createdAt)} /></span>`}
        ${input.agentId && input.agentId !== "main" && html`<span class="faint">${clean(input.agentId)}</span>`}
        <${TimeLeft} input=${input} />
      </header>
      <div class="prompt"><${Prose} text=${promptOf(input)} most=${brief ? 400 : 4000} /></div>
      <${Context} details=${input.details} />
      ${may("write") ? html`<${Answers} input=${input} brief=${brief} />` : html`<${Barred} scope="write" what="Answering" />`}
    </article>
  `;
}

/** The buttons of a question, and its fields. */
function Answers({ input, brief }) {
  const [busy, setBusy] = useState(false);
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const [noting, setNoting] = useState(false);
  const [chosen, setChosen] = useState([]);
  const options = input.options ?? [];
  const free = input.takesText || !options.length;
  const [wording, setWording] = useState(free && (input.multiple || !options.length));
  const send = async (value) => {
    setBusy(true);
    if (!(await answer(input, value, note.trim()))) setBusy(false);
    regainFocus();
  };
  const toggle = (value) =>
    setChosen(chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value]);
  return html`
    ${input.multiple
      ? html`<${Several} options=${options} chosen=${chosen} toggle=${toggle} busy=${busy} send=${() => send(chosen)} />`
      : options.length > 0 &&
        html`<div class="answers" role="group" aria-label="Answers">
          ${options.map(
            (option) => html`
              <button type="button" class=${`button ${toneOf(option)}`} disabled=${busy} title=${option.description || option.label.length > MOST_LABEL ? clean(option.description || option.label) : undefined}
                onClick=${() => send(option.value)}>
                ${shorten(clean(option.label), MOST_LABEL)}${input.default === option.value && html`<small>default</small>`}
              </button>
            `,
          )}
          ${free && !wording && html`<button type="button" class="link" onClick=${() => setWording(true)}>In other words</button>`}
          ${!noting && !brief && html`<button type="button" class="link" onClick=${() => setNoting(true)}>Add a note</button>`}
        </div>`}
    ${noting &&
    html`<label class="note-field"><span>A note to the agent, sent with your answer</span>
      <input type="text" value=${note} onInput=${(event) => setNote(event.target.value)} /></label>`}
    ${wording && html`<${FreeText} text=${text} setText=${setText} busy=${busy} send=${() => send(text)} name=${input.id} />`}
  `;
}

function Several({ options, chosen, toggle, busy, send }) {
  return html`
    <fieldset class="several">
      <legend class="unseen">Choose any of these</legend>
      ${options.map(
        (option) => html`
          <label><input type="checkbox" checked=${chosen.includes(option.value)} onChange=${() => toggle(option.value)} />
            <span>${shorten(clean(option.label), MOST_LABEL)}${option.description && html`<small>${shorten(clean(option.description), 2 * MOST_LABEL)}</small>`}</span></label>
        `,
      )}
      <button type="button" class="button primary" disabled=${busy || !chosen.length} onClick=${send}>Send</button>
    </fieldset>
  `;
}

function FreeText({ text, setText, busy, send, name }) {
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) send();
  };
  return html`
    <form class="free" onSubmit=${submit}>
      <label class="unseen" for=${`answer-${name}`}>Your answer in words</label>
      <input id=${`answer-${name}`} type="text" placeholder="Answer in words" value=${text} onInput=${(event) => setText(event.target.value)} />
      <button type="submit" class="button" disabled=${busy || !text.trim()}><${Icon} name="send" />Send</button>
    </form>
  `;
}

function words({ answer: given, by, reason }) {
  if (given == null) return reason ? `Withdrawn: ${clean(reason)}` : "No longer open";
  const said = [given].flat().map((each) => clean(typeof each === "string" ? each : JSON.stringify(each))).join(", ");
  return `${shorten(said, 80)}${by ? `, by ${by === "local" ? "somebody at this server" : clean(by)}` : ""}`;
}

/** All open questions, and what became of those before. */
export function Inbox() {
  const open = inputs.value;
  return html`
    <div class="view inbox">
      <header class="head"><h1>Inbox</h1>
        <p class="sum" role="status">${open.length ? `${plural(open.length, "question")} ${open.length === 1 ? "waits" : "wait"} for you` : ""}</p></header>
      <div class="questions">${open.map((input) => html`<${Question} key=${input.id} input=${input} />`)}</div>
      ${ready.value && !open.length && html`<${Empty} title="Nothing waits for you">When an agent asks for a permission, an answer or the approval of a plan, it stands here.<//>`}
      ${settled.value.length > 0 &&
      html`<section class="group settled" aria-label="Settled"><h2>Settled since you came</h2>
        <ul>${settled.value.map(
          (each) => html`<li key=${each.input.id}><${Icon} name="check" />
            <a href=${`#/session/${encodeURIComponent(each.input.sessionId)}`}>${shorten(firstLine(promptOf(each.input)), 120)}</a>
            <span class="outcome">${words(each)}</span><span class="faint"><${Ago} at=${each.at} /></span></li>`,
        )}</ul></section>`}
    </div>
  `;
}
