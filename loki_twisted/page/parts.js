// Small parts that all views are made of.

import { Component, html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { clean } from "./text.js";
import { FINAL, may } from "./store.js";

const PATHS = {
  board: "M3 4h14M3 10h14M3 16h9",
  inbox: "M3 11.5 5 4h10l2 7.5M3 11.5V16h14v-4.5M3 11.5h4l1 2h4l1-2h4",
  server: "M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01",
  plus: "M10 4v12M4 10h12",
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12zM13.5 13.5 17 17",
  back: "M12 4 6 10l6 6",
  next: "m8 4 6 6-6 6",
  down: "M10 4v12M5 11l5 5 5-5",
  close: "m5 5 10 10M15 5 5 15",
  stop: "M5.5 5.5h9v9h-9z",
  pause: "M7 5v10M13 5v10",
  play: "M7 4.5v11l8.5-5.5z",
  save: "M10 3v9M6 9l4 4 4-4M4 16.5h12",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6",
  tool: "M12.5 3.5a4 4 0 0 0-4.6 5.3L3.5 13.2l3.3 3.3 4.4-4.4a4 4 0 0 0 5.3-4.6l-2.4 2.4-2.6-.4-.4-2.6z",
  send: "M3.5 10 17 3.5 12.5 17 9.5 11.5z",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1",
  moon: "M16 11.5A6.5 6.5 0 0 1 8.5 4 6.5 6.5 0 1 0 16 11.5z",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  check: "m4 10.5 4 4 8-9",
  lock: "M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
};

/** A drawing that goes with a word; by itself it says nothing to a screen reader. */
export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>
`;

const STATES = {
  queued: ["Queued", "idle"],
  starting: ["Starting", "run"],
  running: ["Running", "run"],
  paused: ["Paused", "pause"],
  stopping: ["Stopping", "wait"],
  stopped: ["Stopped", "idle"],
  failed: ["Failed", "bad"],
  completed: ["Completed", "good"],
};

const REASONS = {
  waiting_for_input: ["Needs you", "wait"],
  waiting_for_message: ["Your turn", "wait"],
  rate_limited: ["Rate limited", "wait"],
  retrying: ["Retrying", "wait"],
  stalled: ["Stalled", "wait"],
};

/** In one word how a session stands, and the tone of that. */
export function standing(session) {
  const running = session.status === "running";
  if (running && session.openInputs) return REASONS.waiting_for_input;
  const reason = running ? REASONS[session.reasonCode] : null;
  return reason ?? STATES[session.status] ?? [session.status, "idle"];
}

/** How a session stands, as a mark with its word. */
export function State({ session }) {
  const [word, tone] = standing(session);
  const beats = tone === "run" ? " beats" : "";
  return html`<span class=${`state tone-${tone}`}><i class=${`dot${beats}`}></i>${word}</span>`;
}

/** The name that people know a session by: the directory that it works in. */
export const nameOf = (session) =>
  clean(session.projectDir.split("/").filter(Boolean).at(-1) ?? session.projectDir);

/** Which kind of agent it is, and what runs that where it is something else. */
export const kindOf = ({ provider, drivenBy }) =>
  drivenBy && drivenBy !== provider ? `${drivenBy} by ${provider}` : provider;

/** Of its id the part that tells it from its neighbours. */
export const shortId = (id) => id.slice(id.lastIndexOf("_") + 1);

/** The end of a path, which tells it from its neighbours. */
export function shortPath(path) {
  const parts = clean(path).split("/");
  return parts.length > 4 ? `\u2026/${parts.slice(-2).join("/")}` : parts.join("/");
}

/** What is asked, without the arguments that are shown beside it anyway. */
export function promptOf({ prompt, details }) {
  const begin = details?.arguments === undefined ? -1 : prompt.indexOf("{");
  return begin >= 0 && prompt.trimEnd().endsWith("}") ? prompt.slice(0, begin).trimEnd() : prompt;
}

/** How much of its tasks is done. */
export function Progress({ done, all, tone }) {
  if (!all) return html`<span class="faint">\u2013</span>`;
  const share = Math.round((100 * done) / all);
  return html`
    <span class=${`progress tone-${tone}`} title=${`${done} of ${all} tasks are done`}>
      <span class="bar" aria-hidden="true"><span style=${{ width: `${share}%` }}></span></span>
      <span class="num">${done}/${all}</span>
    </span>
  `;
}

export const hasEnded = (session) => FINAL.has(session.status);

/** A button that asks once more before it does what cannot be undone. */
export function Careful({ icon, label, again, onClick, kind = "" }) {
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    if (!asked) return undefined;
    const timer = setTimeout(() => setAsked(false), 4000);
    return () => clearTimeout(timer);
  }, [asked]);
  const press = () => (asked ? (setAsked(false), onClick()) : setAsked(true));
  return html`
    <button type="button" class=${`button ${kind} ${asked ? "danger" : ""}`} onClick=${press}>
      <${Icon} name=${icon} />${asked ? again : label}
    </button>
  `;
}

/** A field with its label, its help, and what is wrong with it. */
export function Field({ name, label, help, faults, children, wide }) {
  const fault = faults?.get(name);
  return html`
    <div class=${`field ${wide ? "wide" : ""} ${fault ? "wrong" : ""}`}>
      <label for=${`field-${name}`}>${label}</label>
      ${children}
      ${fault
        ? html`<p class="fault" id=${`fault-${name}`} role="alert">${fault}</p>`
        : help && html`<p class="help" id=${`help-${name}`}>${help}</p>`}
    </div>
  `;
}

/** What stands for the buttons of those whose token does not do. */
export const Barred = ({ scope, what }) =>
  may(scope) ? null : html`<p class="note barred"><${Icon} name="lock" /> ${what} takes a token with the scope <code>${scope}</code>.</p>`;

/** What cannot be drawn says so in its place, and all around it stays as it is. */
export class Guard extends Component {
  componentDidCatch(error) {
    // eslint-disable-next-line no-console -- whoever looks for the fault finds it there
    console.error(error);
    this.setState({ failed: true });
  }

  render({ children }, { failed }) {
    return failed ? html`<p class="note bad" role="alert">This cannot be shown.</p>` : children;
  }
}

/** What to show where there is nothing. */
export const Empty = ({ title, children }) => html`
  <div class="empty"><h2>${title}</h2>${children && html`<p>${children}</p>`}</div>
`;

const MOST_LINES = 120; // of a text, before somebody asks for all: each may be an element
const MOST_MARKS = 80; // in a text; beyond that its marks are letters

/** The beginning of a text: so many characters, and so many lines. */
function beginning(text, characters, lines) {
  let end = -1;
  for (let n = 0; n < lines; n++) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) return text.slice(0, characters);
  }
  return text.slice(0, Math.min(end, characters));
}

/** A text of an agent: code between its fences, the rest as it is. Never markup of theirs. */
export function Prose({ text, most = 6000 }) {
  const [whole, setWhole] = useState(false);
  const full = clean(text);
  const shown = whole ? full : beginning(full, most, MOST_LINES);
  const marks = { left: MOST_MARKS };
  return html`
    <div class="prose">
      ${shown.split(/^(?:```|~~~)/m).map((part, i) => (i % 2 ? fenced(part) : paragraphs(part, marks)))}
      ${shown.length < full.length &&
      html`<button type="button" class="link" onClick=${() => setWhole(true)}>
        Show all ${full.length.toLocaleString("en")} characters
      </button>`}
    </div>
  `;
}

function fenced(part) {
  const end = part.indexOf("\n");
  return html`<pre class="code" tabindex="0">${(end < 0 ? part : part.slice(end + 1)).replace(/\n$/, "")}</pre>`;
}

function paragraphs(part, marks) {
  return part
    .split(/\n{2,}/)
    .filter((each) => each.trim())
    .map((each) => html`<p>${inline(each.replace(/^\n+|\n+$/g, ""), marks)}</p>`);
}

function inline(text, marks) {
  const parts = text.split(/(\*\*[^*\n]+\*\*|`[^`\n]+`)/);
  marks.left -= parts.length >> 1;
  if (marks.left < 0) return text;
  return parts.map((part) => {
    if (part.length > 2 && part.startsWith("`")) return html`<code>${part.slice(1, -1)}</code>`;
    if (part.length > 4 && part.startsWith("**")) return html`<strong>${inline(part.slice(2, -2), marks)}</strong>`;
    return part;
  });
}

/** Where the focus was on what is there no more, have it at the content: keys go on from there. */
export function regainFocus() {
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  });
}

/** Keeps the focus on a link of a list when the list is drawn in another order. Gives what the list takes. */
export function useKeptFocus() {
  const ref = useRef(null);
  const held = useRef(null);
  useLayoutEffect(() => {
    if (!held.current || document.activeElement !== document.body) return;
    for (const link of ref.current.querySelectorAll("a[href]")) {
      if (link.getAttribute("href") === held.current) {
        link.focus({ preventScroll: true });
        return;
      }
    }
  });
  return {
    ref,
    onfocusin: (event) => (held.current = event.target.getAttribute("href")),
    onfocusout: (event) => event.relatedTarget && (held.current = null),
    onPointerDown: () => (held.current = null),
  };
}

const INTENT_MS = 1000;

/**
 * Keeps what scrolls at its end, until the reader scrolls away. Gives [ref, atEnd, toEnd].
 *
 * That something is not at its end says nothing: what is drawn may have grown. So the reader is
 * believed only when it was the reader who moved.
 */
export function useFollowing(version) {
  const ref = useRef(null);
  const following = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  const keep = () => {
    if (following.current && ref.current) ref.current.scrollTop = ref.current.scrollHeight;
  };
  useEffect(() => {
    const box = ref.current;
    let moved = -INTENT_MS;
    const onMove = () => {
      moved = performance.now();
    };
    const onScroll = () => {
      const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      if (!isAtEnd && performance.now() - moved > INTENT_MS) return;
      following.current = isAtEnd;
      setAtEnd(isAtEnd);
    };
    const moves = ["wheel", "touchmove", "keydown", "pointerdown"];
    for (const each of moves) box.addEventListener(each, onMove, { passive: true });
    box.addEventListener("scroll", onScroll, { passive: true });
    const grown = new ResizeObserver(keep);
    for (const each of [box, ...box.children]) grown.observe(each);
    return () => {
      for (const each of moves) box.removeEventListener(each, onMove);
      box.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, []);
  useEffect(keep, [version]);
  const toEnd = () => {
    following.current = true;
    setAtEnd(true);
    keep();
  };
  return [ref, atEnd, toEnd];
}
