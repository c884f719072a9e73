// A call of a tool: what it is about in one line, and all of it with the changes that it made.

import { html, useMemo, useState } from "./html.js";
import { Diff, difference, isPatch, linesOfPatch, near } from "./diff.js";
import { Icon } from "./parts.js";
import { chomp, clean, compact, duration, firstLine, plural, shorten } from "./text.js";

const MOST_FOLDED = 60_000; // pairs of lines that are compared in a call, before somebody opens it
const MOST_SHOWN = 20_000; // characters of one result, before somebody asks for all

const SUMMARIES = ["description", "command", "file_path", "filePath", "path", "pattern", "query", "url", "prompt", "task", "title"];

function summaryOf(input, output) {
  if (input && typeof input === "object") {
    const plan = planOf(input);
    if (plan) return `${plan.filter((each) => each.done).length} of ${plural(plan.length, "step")} done`;
    for (const name of SUMMARIES) {
      const value = input[name];
      if (typeof value === "string" && value) return shorten(firstLine(value), 160);
      if (Array.isArray(value)) return shorten(value.map(clean).join(" "), 160);
    }
  }
  return output ? shorten(firstLine(output), 160) : "";
}

/** A list of things to do, as several agents keep one: `[{text, done, now}]`, or null. */
function planOf({ todos, plan }) {
  const list = Array.isArray(todos) ? todos : plan;
  if (!Array.isArray(list) || !list.length) return null;
  const steps = list.map((each) => ({
    text: each?.content ?? each?.step,
    done: each?.status === "completed",
    now: each?.status === "in_progress",
  }));
  return steps.every((each) => typeof each.text === "string") ? steps : null;
}

const isText = (value) => typeof value === "string";

/** What a call changes in files, where its arguments say that: `[{name, lines}]`. */
function changesOf(input) {
  if (!input || typeof input !== "object") return [];
  const name = clean(input.file_path ?? input.filePath ?? input.path ?? "");
  const edit = (before, after) => ({ name, lines: near(difference(clean(before), clean(after))) });
  if (isText(input.old_string) && isText(input.new_string)) return [edit(input.old_string, input.new_string)];
  if (isText(input.oldString) && isText(input.newString)) return [edit(input.oldString, input.newString)];
  if (Array.isArray(input.edits)) {
    const edits = input.edits.filter((each) => isText(each?.old_string) && isText(each?.new_string));
    if (edits.length) return edits.map((each) => edit(each.old_string, each.new_string));
  }
  for (const value of [input.patch, input.diff, input.unified_diff]) {
    if (isText(value) && isPatch(value)) return [{ name, lines: linesOfPatch(clean(value)) }];
  }
  if (isText(input.content) && name) return [{ name, lines: clean(input.content).split("\n").map((line) => ["+", line]) }];
  return [];
}

/** Whether it takes no time to say what a call changes: there may be hundreds of them. */
function isBrief(input) {
  if (!input || typeof input !== "object") return true;
  const pairs = [[input.old_string, input.new_string], [input.oldString, input.newString]];
  if (Array.isArray(input.edits)) for (const each of input.edits) pairs.push([each?.old_string, each?.new_string]);
  const lines = (text) => (isText(text) ? text.split("\n").length : 0);
  return pairs.reduce((sum, [before, after]) => sum + lines(before) * lines(after), 0) <= MOST_FOLDED;
}

const TOLD = new Set(["old_string", "new_string", "oldString", "newString", "edits", "patch", "diff", "unified_diff", "content", "file_path", "filePath", "path"]);

function Arguments({ input, output }) {
  if (!input || typeof input !== "object") return output ? html`<pre class="code" tabindex="0">${clean(output)}</pre>` : null;
  const plan = planOf(input);
  if (plan) {
    return html`<ul class="plan">${plan.map(
      ({ text, done, now }) => html`<li class=${done ? "done" : now ? "now" : ""}><span class="box" aria-hidden="true">${done && html`<${Icon} name="check" />`}</span>
        <span>${clean(text)}<span class="unseen">${done ? " (done)" : now ? " (at work)" : ""}</span></span></li>`,
    )}</ul>`;
  }
  const changes = changesOf(input);
  const rest = Object.entries(input).filter(([name]) => !changes.length || !TOLD.has(name));
  return html`
    ${rest.length > 0 &&
    html`<dl class="arguments">${rest.map(
      ([name, value]) => html`<div><dt>${clean(name)}</dt><dd><pre>${clean(isText(value) ? value : JSON.stringify(value, null, 2))}</pre></dd></div>`,
    )}</dl>`}
    ${changes.map((each) => html`<${Diff} ...${each} />`)}
  `;
}

function Result({ data }) {
  const [whole, setWhole] = useState(false);
  const text = chomp(clean(data.output));
  if (!text) return null;
  const shown = whole ? text : text.slice(0, MOST_SHOWN);
  return html`
    <div class=${`result ${data.isError ? "bad" : ""}`}>
      ${isPatch(shown) ? html`<${Diff} name="" lines=${linesOfPatch(shown)} />` : html`<pre class="code" tabindex="0">${shown}</pre>`}
      ${shown.length < text.length && html`<button type="button" class="link" onClick=${() => setWhole(true)}>Show all ${compact(text.length)} characters</button>`}
    </div>
  `;
}

/** A call of a tool: what it is about in one line, all of it when that is opened. */
export function Call({ tool, input, output, result, took, unfolded }) {
  const [open, setOpen] = useState(false);
  const changes = useMemo(() => (open || isBrief(input) ? changesOf(input) : []), [input, open]);
  const lines = changes.flatMap((each) => each.lines);
  const added = lines.filter(([sign]) => sign === "+").length;
  const removed = lines.filter(([sign]) => sign === "-").length;
  const failed = result?.isError;
  if (unfolded) {
    return html`<div class="call open-always"><p class="tool-name"><${Icon} name="tool" /><strong>${clean(tool)}</strong></p>
      <div class="inside"><${Arguments} input=${input} output=${output} /></div></div>`;
  }
  return html`
    <details class=${`call ${failed ? "failed" : ""}`} open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <${Icon} name="tool" /><strong>${clean(tool)}</strong>
        <span class="summary">${summaryOf(input, output)}</span>
        ${lines.length > 0 && html`<span class="num plus">+${added}</span><span class="num minus">\u2212${removed}</span>`}
        ${result ? html`<span class=${failed ? "tone-bad" : "tone-good"}>${failed ? "failed" : html`<${Icon} name="check" /><span class="unseen">done</span>`}</span>` : null}
        ${took > 1000 && html`<span class="num faint">${duration(took)}</span>`}
      </summary>
      ${open && html`<div class="inside"><${Arguments} input=${input} output=${output} />${result && html`<${Result} data=${result} />`}</div>`}
    </details>
  `;
}
