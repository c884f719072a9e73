// The board: all sessions, those that need somebody first.

import { html, signal, useState } from "./html.js";
import { Barred, Empty, Icon, Progress, State, hasEnded, kindOf, nameOf, shortId, shortPath, standing, useKeptFocus } from "./parts.js";
import { Question } from "./questions.js";
import { inputs, may, ready, sessions, total } from "./store.js";
import { Ago, Took, clean, compact, millis, money } from "./text.js";

const PAGE = 60; // so many that have ended are shown at first

const words = signal("");
const kind = signal("");
const order = signal("standing");

const ORDERS = {
  standing: ["Who needs you first", null],
  newest: ["Newest first", (a, b) => b.startedAt.localeCompare(a.startedAt)],
  active: ["Last active first", (a, b) => b.updatedAt.localeCompare(a.updatedAt)],
  cost: ["Dearest first", (a, b) => b.usage.cost - a.usage.cost],
  name: ["By project", (a, b) => a.projectDir.localeCompare(b.projectDir)],
};

const GROUPS = [
  ["Needs you", (each) => standing(each)[1] === "wait" && !hasEnded(each) && each.status !== "stopping"],
  ["At work", (each) => ["starting", "running", "paused", "stopping"].includes(each.status)],
  ["In line", (each) => each.status === "queued"],
  ["Ended", hasEnded],
];

const KINDS = { work: "At work", queued: "In line", failed: "Failed", ended: "Ended" };

const isOfKind = {
  "": () => true,
  work: (each) => !hasEnded(each) && each.status !== "queued",
  queued: (each) => each.status === "queued",
  failed: (each) => each.status === "failed",
  ended: hasEnded,
};

function matches(session) {
  const said = words.value.trim().toLowerCase();
  if (!said) return true;
  const text = [session.id, session.provider, session.projectDir, session.model, session.reason, session.currentPhase, session.prdPath, standing(session)[0]]
    .join(" ")
    .toLowerCase();
  return said.split(/\s+/).every((word) => text.includes(word));
}

function Row({ session }) {
  const tone = standing(session)[1];
  const started = millis(session.startedAt);
  const ended = hasEnded(session) ? millis(session.updatedAt) : null;
  const reason = clean(session.reason);
  return html`
    <a class=${`row ${hasEnded(session) ? "over" : ""}`} href=${`#/session/${encodeURIComponent(session.id)}`}>
      <${State} session=${session} />
      <span class="what">
        <strong>${nameOf(session)}</strong>
        <small>${(session.openInputs ? "" : reason) || shortPath(session.projectDir)}</small>
      </span>
      <span class="kind"><span>${kindOf(session)}</span>${session.model && html`<small>${clean(session.model)}</small>`}</span>
      <span class="phase">${session.currentPhase ? clean(session.currentPhase) : html`<span class="faint">\u2013</span>`}</span>
      <${Progress} done=${session.completedTasks} all=${session.taskCount} tone=${tone} />
      <span class="when">
        <${Took} from=${started} to=${ended} />
        <small>${session.status === "queued" ? html`<${Ago} at=${started} />` : ended ? html`<${Ago} at=${ended} />` : "so far"}</small>
      </span>
      <span class="cost num">${money(session.usage.cost)}<small>${compact(session.usage.tokensUsed)} tokens</small></span>
      <span class="unseen">Session ${shortId(session.id)}</span>
    </a>
  `;
}

function Group({ name, rows }) {
  const [most, setMost] = useState(PAGE);
  if (!rows.length) return null;
  return html`
    <section class="group" aria-label=${name || "Sessions"}>
      ${name && html`<h2>${name} <span class="num">${rows.length}</span></h2>`}
      <ul class="rows">
        ${rows.slice(0, most).map((session) => {
          const asked = inputs.value.filter((each) => each.sessionId === session.id);
          return html`
            <li key=${session.id}>
              <${Row} session=${session} />
              ${asked.length === 1 && html`<${Question} input=${asked[0]} brief />`}
              ${asked.length > 1 &&
              html`<p class="asks"><a href="#/inbox">${asked.length} questions are open</a></p>`}
            </li>
          `;
        })}
      </ul>
      ${rows.length > most &&
      html`<button type="button" class="button" onClick=${() => setMost(most + 200)}>
        Show ${Math.min(200, rows.length - most)} more of ${rows.length - most}
      </button>`}
    </section>
  `;
}

function Filters({ all }) {
  return html`
    <div class="filters">
      <label class="search">
        <${Icon} name="search" /><span class="unseen">Search sessions</span>
        <input type="search" placeholder="Search" value=${words.value} onInput=${(event) => (words.value = event.target.value)} />
      </label>
      <div class="chips" role="group" aria-label="Which sessions">
        ${[["", "All"], ...Object.entries(KINDS)].map(([each, word]) => {
          const count = all.filter(isOfKind[each]).length;
          return html`
            <button type="button" class="chip" aria-pressed=${kind.value === each} onClick=${() => (kind.value = each)}>
              ${word} <span class="num">${count}</span>
            </button>
          `;
        })}
      </div>
      <label class="sort">
        <span class="unseen">Order</span>
        <select value=${order.value} onChange=${(event) => (order.value = event.target.value)}>
          ${Object.entries(ORDERS).map(([each, [word]]) => html`<option value=${each}>${word}</option>`)}
        </select>
      </label>
    </div>
  `;
}

export function Board() {
  const all = [...sessions.value.values()];
  const shown = all.filter((each) => isOfKind[kind.value](each) && matches(each));
  const [, compare] = ORDERS[order.value];
  const kept = useKeptFocus();
  return html`
    <div class="view board" ...${kept}>
      <header class="head"><h1>Sessions</h1>${all.length > 0 && html`<${Sum} all=${all} />`}</header>
      ${all.length > 0 && html`<${Filters} all=${all} />`}
      ${compare ? html`<${Group} name="" rows=${shown.sort(compare)} />` : grouped(shown)}
      ${ready.value && !all.length && html`<${First} />`}
      ${all.length > 0 && !shown.length && html`<${Empty} title="No session is like that">Try other words, or all of them.<//>`}
      ${total.value > all.length &&
      html`<p class="note">The newest ${all.length} of ${compact(total.value)} sessions. Older ones are found by the API.</p>`}
    </div>
  `;
}

function grouped(shown) {
  const left = new Set(shown);
  return GROUPS.map(([name, belongs]) => {
    const rows = [...left].filter(belongs);
    for (const each of rows) left.delete(each);
    return html`<${Group} key=${name} name=${name} rows=${rows} />`;
  });
}

function Sum({ all }) {
  const cost = all.reduce((sum, each) => sum + each.usage.cost, 0);
  const tokens = all.reduce((sum, each) => sum + each.usage.tokensUsed, 0);
  return html`<p class="sum num">${money(cost)} <span class="faint">\u00b7</span> ${compact(tokens)} tokens</p>`;
}

const First = () => html`
  <div class="empty first">
    <h2>No session yet</h2>
    <p>Start one: the demo needs no account and no network, and takes a quarter of a minute.</p>
    ${may("write") ? html`<p><a class="button primary" href="#/new"><${Icon} name="plus" />New session</a></p>` : html`<${Barred} scope="write" what="That" />`}
  </div>
`;
