// What is around every view: where one can go, how we hang on the server, and the way in.

import { html, signal, useEffect, useRef, useState } from "./html.js";
import { useToken, wanted } from "./api.js";
import { Icon } from "./parts.js";
import { dismiss, inputs, may, sessions, toasts } from "./store.js";
import { link } from "./stream.js";
import { At, compact, duration, now } from "./text.js";

const THEME = "loki-theme";
const theme = signal(readTheme());

function readTheme() {
  try {
    const kept = localStorage.getItem(THEME);
    return ["light", "dark"].includes(kept) ? kept : "auto"; // another server may have been here
  } catch {
    return "auto";
  }
}

function setTheme(value) {
  theme.value = value;
  try {
    localStorage.setItem(THEME, value);
  } catch {
    // It holds until the next reload then.
  }
}

theme.subscribe((value) => {
  document.documentElement.dataset.theme = value;
});

function ThemeButton() {
  const next = { auto: "light", light: "dark", dark: "auto" }[theme.value];
  const icon = { auto: "auto", light: "sun", dark: "moon" }[theme.value];
  const label = `Theme: ${theme.value}. Switch to ${next}.`;
  return html`
    <button type="button" class="button quiet round" title=${label} aria-label=${label}
      onClick=${() => setTheme(next)}><${Icon} name=${icon} /></button>
  `;
}

/** Whether what is shown is what is. */
function Mark() {
  const { state, behind, retryAt, message } = link.value;
  const [tone, word, more] = {
    connecting: ["wait", "Connecting", "Asking the server how things stand."],
    live: ["good", "Live", "What you see is how things stand."],
    behind: ["wait", `Catching up`, `${compact(behind ?? 0)} events behind.`],
    cut: ["bad", "Cut off", message],
    locked: ["bad", "Locked", "The server wants a token."],
  }[state];
  const left = state === "cut" ? Math.max(0, Math.ceil((retryAt - now.value) / 1000)) : 0;
  const detail =
    state === "behind" ? `${compact(behind)} behind` : state !== "cut" ? "" : left ? `again in ${left}s` : "trying";
  return html`
    <div class=${`mark tone-${tone}`} title=${more} data-state=${state}>
      <i class=${`dot ${state === "live" ? "" : "beats"}`}></i>
      <span>${word}</span>
      <small aria-hidden="true">${detail}</small>
    </div>
  `;
}

const PLACES = [
  ["", "board", "Sessions"],
  ["inbox", "inbox", "Inbox"],
  ["server", "server", "Server"],
];

function Navigation({ view }) {
  const here = view === "session" || view === "new" ? "" : view;
  const running = [...sessions.value.values()].filter(
    (each) => each.status === "running" || each.status === "starting",
  ).length;
  const counts = { inbox: inputs.value.length, "": running };
  const words = { inbox: "open questions", "": "at work" };
  return html`
    <nav class="places" aria-label="Places">
      ${PLACES.map(
        ([place, icon, word]) => html`
          <a href=${`#/${place}`} class=${place === "inbox" && counts.inbox ? "calls" : ""}
            aria-current=${here === place ? "page" : undefined}>
            <${Icon} name=${icon} /><span>${word}</span>
            ${counts[place] > 0 &&
            html`<b class="count">${counts[place]}<span class="unseen"> ${words[place]}</span></b>`}
          </a>
        `,
      )}
    </nav>
  `;
}

/** Tells that what is shown is old, where that cannot be overlooked. */
function Stale() {
  const { state, since } = link.value;
  if (state !== "cut") return null;
  return html`<p class="stale" role="status">Cut off${since ? html` since <${At} at=${since} />` : ""}. What you see is how things stood then.</p>`;
}

function Toasts() {
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${toasts.value.map(
        ({ id, text, kind }) => html`
          <div key=${id} class=${`toast ${kind}`}>
            <span>${text}</span>
            <button type="button" aria-label="Dismiss" onClick=${() => dismiss(id)}><${Icon} name="close" /></button>
          </div>
        `,
      )}
    </div>
  `;
}

/** Asks for the token: once, and again when it was wrong. */
function Way({ message, retryAt }) {
  const [text, setText] = useState("");
  const field = useRef(null);
  useEffect(() => field.current?.focus(), [message]);
  const left = retryAt ? Math.max(0, retryAt - now.value) : 0;
  const submit = (event) => {
    event.preventDefault();
    if (text.trim() && !left) useToken(text.trim());
  };
  return html`
    <main class="way" id="main" tabindex="-1">
      <form class="card" onSubmit=${submit}>
        <span class="lock"><${Icon} name="lock" /></span>
        <h1>This server wants a token</h1>
        <p>It is the one that the server was started with, or one that its operator made for you. It is
          kept in this tab alone, until you close it.</p>
        <div class=${`field ${message ? "wrong" : ""}`}>
          <label for="token">Token</label>
          <input ref=${field} id="token" type="password" autocomplete="off" spellcheck=${false} value=${text}
            aria-invalid=${message ? "true" : undefined} aria-describedby="token-fault"
            onInput=${(event) => setText(event.target.value)} />
          <p class="fault" id="token-fault" role="alert">${message}</p>
          ${left > 0 && html`<p class="help">Try again in ${duration(left)}.</p>`}
        </div>
        <button type="submit" class="button primary" disabled=${!text.trim() || left > 0}>Open</button>
      </form>
    </main>
  `;
}

export function Shell({ view, children }) {
  if (wanted.value) return html`<${Way} ...${wanted.value} />`;
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="side" data-view=${view}>
      <a class="brand" href="#/" aria-label="Loki, all sessions">
        <img src="page/icon.svg" alt="" width="24" height="24" /><span>Loki</span>
      </a>
      <${Navigation} view=${view} />
      ${may("write") && html`<a class="button primary new" href="#/new"><${Icon} name="plus" /><span>New session</span></a>`}
      <div class="foot"><${Mark} /><${ThemeButton} /></div>
    </header>
    <main id="main" tabindex="-1">${children}</main>
    <${Stale} />
    <${Toasts} />
  `;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
