// Where the page begins: which view is shown, and the stream that all of them live by.

import { html, effect, render, signal } from "./html.js";
import { Board } from "./board.js";
import { Inbox } from "./questions.js";
import { ServerView } from "./server.js";
import { SessionView } from "./session.js";
import { Shell } from "./shell.js";
import { Start } from "./start.js";
import { follow, inputs, open, sessions } from "./store.js";
import { Guard, nameOf } from "./parts.js";

/** What the address after the # says: `{view, id, tab}`. */
const route = signal(readRoute());

function readRoute() {
  const [view = "", id = "", tab = ""] = location.hash.replace(/^#\/?/, "").split("/");
  return { view, id: safely(id), tab };
}

function safely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

addEventListener("hashchange", () => {
  const before = route.value;
  route.value = readRoute();
  const { view, id } = route.value;
  if (before.view !== view || before.id !== id) {
    document.getElementById("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
});

effect(() => {
  const { view, id } = route.value;
  open(view === "session" && id ? id : null);
});

effect(() => {
  const { view, id } = route.value;
  const session = view === "session" ? sessions.value.get(id) : null;
  const place = session ? nameOf(session) : { inbox: "Inbox", server: "Server", new: "New session" }[view];
  const waiting = inputs.value.length;
  document.title = `${waiting ? `(${waiting}) ` : ""}${place ? `${place} \u00b7 ` : ""}Loki`;
});

function Page() {
  const { view, id, tab } = route.value;
  const shown =
    view === "session" && id
      ? html`<${SessionView} key=${id} id=${id} tab=${tab} />`
      : view === "inbox"
        ? html`<${Inbox} />`
        : view === "server"
          ? html`<${ServerView} />`
          : view === "new"
            ? html`<${Start} />`
            : html`<${Board} />`;
  return html`<${Shell} view=${view}><${Guard} key=${`${view}/${id}`}>${shown}<//><//>`;
}

render(html`<${Page} />`, document.getElementById("page"));
follow();
