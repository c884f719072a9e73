// Words for people: times, amounts, and what agents say made harmless.

import { html, signal } from "./html.js";

/** The time in milliseconds, told once a second while somebody looks. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  now.value = Date.now();
});

const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?/g;
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f]/g;
// What cannot be seen, or turns the direction; but not the joiners that Persian and emoji are written with.
const TRICKS = /[\x80-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const SUSPECT = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/**
 * Text that obeys nothing: escape sequences become one visible mark, control characters their
 * pictures, and what turns the direction of text around its name.
 *
 * Of what is no text but stands in its place, the JSON: an object of an agent may well have a
 * `toString`, and that is none.
 */
export function clean(text) {
  if (text == null) return "";
  if (typeof text !== "string") return clean(JSON.stringify(text));
  if (!SUSPECT.test(text)) return text;
  return text
    .replace(/\r\n/g, "\n")
    .replace(ESCAPES, "\u241b")
    .replace(CONTROLS, (c) => (c === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0))))
    .replace(TRICKS, (c) => `\u2039U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u203a`);
}

/** A text of at most so many characters. */
export function shorten(text, most) {
  return text.length > most ? text.slice(0, most - 1) + "\u2026" : text;
}

/** Without the line ends behind it. No regular expression does that in a time that its length bounds. */
export function chomp(text) {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\n") end -= 1;
  return text.slice(0, end);
}

/** The first line that says something. */
export function firstLine(text) {
  return clean(text).trim().split("\n", 1)[0];
}

/** Milliseconds of a time on the wire, or null. */
export function millis(iso) {
  const at = typeof iso === "string" ? Date.parse(iso) : NaN;
  return Number.isNaN(at) ? null : at;
}

/** A duration: two units at most, so that it stays readable while it counts; tenths if `exact`. */
export function duration(ms, exact = false) {
  if (exact && ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, "0")}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${String(minutes % 60).padStart(2, "0")}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const HOUR = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** The time of day in the reader's zone, to the second and always as wide. */
export const clock = (ms) => CLOCK.format(ms);

/** The whole time with its zone, for those who want to know exactly. */
export const absolute = (ms) => FULL.format(ms);

/** How long ago, in words; a date when that is days. */
function ago(ms, at = Date.now()) {
  const seconds = Math.round((at - ms) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ago`;
  if (seconds < 6 * 86400) return `${Math.floor(seconds / 86400)}d ago`;
  return DAY.format(ms);
}

const COUNT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en");

/** A number that is read at a glance: 12.4K. */
export const compact = (n) => (n < 10_000 ? WHOLE.format(n) : COUNT.format(n));

/** US dollars, with as many digits as say something. */
export function money(amount) {
  if (!amount) return "$0.00";
  return amount < 0.01 ? `$${amount.toFixed(4)}` : `$${amount.toFixed(2)}`;
}

/** Bytes. */
export function bytes(n) {
  let value = n;
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (value < 1000) return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** A count with its noun. */
export const plural = (n, noun, many = noun + "s") => `${compact(n)} ${n === 1 ? noun : many}`;

/** A time that ages before the reader's eyes, exact on hover. */
export function Ago({ at }) {
  if (at == null) return null;
  return html`<time datetime=${new Date(at).toISOString()} title=${absolute(at)}>${ago(at, now.value)}</time>`;
}

/** How long something has taken, or takes. */
export function Took({ from, to }) {
  if (from == null) return null;
  const title = to == null ? `Since ${absolute(from)}` : `${absolute(from)} to ${absolute(to)}`;
  return html`<span class="num" title=${title}>${duration((to ?? now.value) - from, to != null)}</span>`;
}

/** A time of day, exact on hover. */
export function At({ at }) {
  return html`<time datetime=${new Date(at).toISOString()} title=${absolute(at)}>${HOUR.format(at)}</time>`;
}
