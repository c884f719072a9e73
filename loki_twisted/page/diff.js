// What has changed in a text, line by line.

import { html, useState } from "./html.js";
import { plural } from "./text.js";

const MOST_CELLS = 1_000_000;
const MOST_SHOWN = 2000; // lines, before somebody asks for all
const AROUND = 3; // lines that stay are shown around those that do not

/** The difference of two texts: `[[sign, line]]` with ` `, `-` or `+` for a sign. */
export function difference(before, after) {
  const a = before === "" ? [] : before.split("\n");
  const b = after === "" ? [] : after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const signed = (sign) => (line) => [sign, line];
  return [
    ...a.slice(0, start).map(signed(" ")),
    ...between(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...a.slice(a.length - end).map(signed(" ")),
  ];
}

/** By the longest common subsequence; where that takes too long, all of one and then of the other. */
function between(a, b) {
  const all = [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  if (!a.length || !b.length || a.length * b.length > MOST_CELLS) return all;
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      lines.push(["-", a[i++]]);
    } else {
      lines.push(["+", b[j++]]);
    }
  }
  return lines;
}

/** Leave out what stays the same far from any change. */
export function near(lines) {
  const kept = new Set();
  lines.forEach(([sign], at) => {
    if (sign !== " ") for (let i = at - AROUND; i <= at + AROUND; i++) kept.add(i);
  });
  const shown = [];
  lines.forEach((line, at) => {
    if (kept.has(at)) shown.push(line);
    else if (shown.at(-1)?.[0] !== "@") shown.push(["@", "\u22ef"]);
  });
  return shown;
}

/** Whether a text is a patch. */
export const isPatch = (text) =>
  /^(?:diff --git |--- .*\n\+\+\+ |@@ -\d+|\*\*\* Begin Patch)/m.test(text);

/** The lines of a patch, with their signs. */
export function linesOfPatch(text) {
  return text.split("\n").map((line) => {
    if (/^(?:diff |index |--- |\+\+\+ |\*\*\* )/.test(line)) return ["#", line];
    if (line.startsWith("@@")) return ["@", line];
    if (line.startsWith("+")) return ["+", line.slice(1)];
    if (line.startsWith("-")) return ["-", line.slice(1)];
    return [" ", line.startsWith(" ") ? line.slice(1) : line];
  });
}

const NAMES = { "+": "added", "-": "removed", " ": "same", "@": "gap", "#": "meta" };
const SPOKEN = { "+": "Added: ", "-": "Removed: " };

export function Diff({ lines, name }) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? lines : lines.slice(0, MOST_SHOWN);
  const added = lines.filter(([sign]) => sign === "+").length;
  const removed = lines.filter(([sign]) => sign === "-").length;
  return html`
    <figure class="diff">
      <figcaption><span class="path">${name}</span><span class="plus num">+${added}</span><span class="minus num">\u2212${removed}</span></figcaption>
      <div class="lines" tabindex="0" role="group" aria-label=${`Changes of ${name || "a text"}`}>
        ${shown.map(
          ([sign, line]) => html`<div class=${`line ${NAMES[sign]}`}>${SPOKEN[sign] && html`<span class="unseen">${SPOKEN[sign]}</span>`}${line || "\u200b"}</div>`,
        )}
      </div>
      ${shown.length < lines.length &&
      html`<button type="button" class="link" onClick=${() => setWhole(true)}>Show all ${plural(lines.length, "line")}</button>`}
    </figure>
  `;
}
