// Tasks as a board, and phases and tasks along the time.

import { html } from "./html.js";
import { Ago, Took, clean, clock, duration, millis, now, plural, shorten } from "./text.js";
import { Empty, Guard, Prose, hasEnded } from "./parts.js";

const MOST_TITLE = 200; // characters

const COLUMNS = [
  ["To do", ["pending", "queued"], "idle"],
  ["At work", ["running"], "run"],
  ["Done", ["completed", "skipped"], "good"],
  ["Failed", ["failed"], "bad"],
];

export function Tasks({ model, session }) {
  const tasks = model.tasks.value;
  if (model.loaded.value && !tasks.length) return html`<div class="scroll"><${Empty} title="No tasks">An agent that tells of its tasks has them here.<//></div>`;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Tasks">
      <div class="columns">
        ${COLUMNS.map(([name, statuses, tone]) => {
          const inside = tasks.filter((each) => statuses.includes(each.status));
          if (!inside.length && (name === "Failed" || hasEnded(session))) return null;
          return html`
            <section class="column" aria-label=${name}>
              <h2><i class=${`dot tone-${tone}`}></i>${name} <span class="num">${inside.length}</span></h2>
              <ul>${inside.map((task) => html`<li key=${task.id}><${Guard}><${Card} task=${task} /><//></li>`)}</ul>
            </section>
          `;
        })}
      </div>
      ${model.moreTasks.value > 0 && html`<p class="note">and ${plural(model.moreTasks.value, "older task")} more</p>`}
    </div>
  `;
}

function Card({ task }) {
  const started = millis(task.startedAt);
  const ended = millis(task.completedAt);
  return html`
    <article class="task">
      <h3>${shorten(clean(task.title), MOST_TITLE)}</h3>
      ${task.description && html`<${Prose} text=${task.description} most=${400} />`}
      ${task.error ? html`<div class="fault"><${Prose} text=${task.error} most=${400} /></div>` : task.output && html`<div class="output"><${Prose} text=${task.output} most=${400} /></div>`}
      <footer>
        ${task.agent && html`<span class="tag">${clean(task.agent)}</span>`}
        ${started !== null && html`<${Took} from=${started} to=${ended} />`}
        ${started === null && html`<${Ago} at=${millis(task.createdAt)} />`}
      </footer>
    </article>
  `;
}

/** Phases as stretches: each lasts until the next one begins. */
function stretches(phases, end) {
  const begun = phases.filter((each) => each.type === "phase:started" && each.data.phase);
  return begun.map((each, i) => ({
    name: clean(each.data.phase),
    from: each.at,
    to: begun[i + 1]?.at ?? end,
    failed: phases.some((other) => other.type === "phase:failed" && other.data.phase === each.data.phase),
  }));
}

export function Timeline({ model, session }) {
  const from = millis(session.startedAt);
  const ended = hasEnded(session);
  const to = Math.max(ended ? millis(session.updatedAt) : now.value, from + 1000);
  const phases = stretches(model.phases.value, to);
  const tasks = model.tasks.value
    .filter((each) => each.startedAt)
    .sort((a, b) => a.startedAt.localeCompare(b.startedAt));
  if (model.loaded.value && !phases.length && !tasks.length) {
    return html`<div class="scroll"><${Empty} title="No phases yet">An agent that tells of its phases and tasks has them here, along the time.<//></div>`;
  }
  const place = (a, b) => ({
    left: `${(100 * Math.max(0, a - from)) / (to - from)}%`,
    width: `${(100 * Math.max(0, Math.min(b, to) - Math.max(a, from))) / (to - from)}%`,
  });
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Timeline">
      <div class="timeline">
        <div class="scale" aria-hidden="true">${ticks(from, to).map((at) => html`<span style=${{ left: place(at, at).left }}>${clock(at)}</span>`)}</div>
        <h2>Phases</h2>
        <ul class="phases">${phases.map((each, i) => html`
          <li key=${`${each.from}-${i}`}><span class="label">${each.name}</span>
            <span class="track"><span class=${`stretch phase ${each.failed ? "tone-bad" : i === phases.length - 1 && !ended ? "tone-run" : "tone-phase"}`} style=${place(each.from, each.to)}></span></span>
            <span class="num took">${duration(each.to - each.from, ended)}</span></li>`)}</ul>
        ${tasks.length > 0 && html`<h2>Tasks</h2>`}
        <ul>${tasks.map((task) => html`
          <li key=${task.id}><span class="label" title=${shorten(clean(task.title), 1000)}>${shorten(clean(task.title), MOST_TITLE)}</span>
            <span class="track"><span class=${`stretch tone-${{ failed: "bad", running: "run" }[task.status] ?? "good"}`} style=${place(millis(task.startedAt), millis(task.completedAt) ?? to)}></span></span>
            <span class="num took"><${Took} from=${millis(task.startedAt)} to=${millis(task.completedAt) ?? (ended ? to : null)} /></span></li>`)}</ul>
      </div>
    </div>
  `;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

function ticks(from, to) {
  const step = (STEPS.find((each) => (to - from) / (each * 1000) <= 6) ?? 86400 * Math.ceil((to - from) / 5e8)) * 1000;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to && marks.length < 12; at += step) marks.push(at);
  return marks;
}
