// The one stream of events: read by fetch, so that the token goes in a header, and resumed.

import { signal } from "./html.js";
import { Problem, ask, get, wanted } from "./api.js";

/**
 * How we hang on the server, told as it is: `state` is `connecting`, `live`, `behind` (then
 * `behind` is by how many events), `cut` (then `retryAt` is when we try again) or `locked`.
 */
export const link = signal({ state: "connecting" });

/** Events a second, as they came in the last seconds. */
export const rate = signal(0);

const SILENCE_MS = 20_000; // a quiet stream says something every 15 seconds
const BRIEF_MS = 1_000; // a stream that ends sooner is none: it is not asked for again at once
const UNAIMED_EVENTS = 400; // after so many we ask how many more there are, once a second at most
const MOST_BEHIND = 20_000; // events; beyond that it is quicker to read anew how things stand
const FLUSH_MS = 90;
const HIDDEN_MS = 400;
const MOST_WAIT_MS = 4_000;

/** The number in the id of an event. */
export const seqOf = (id) => Number(/^evt_(\d+)_/.exec(id)?.[1] ?? 0);

/** Cuts a stream of text into frames. */
export class Frames {
  constructor() {
    this.rest = "";
  }

  /** The frames that a piece completes: `{id, event, data}`, comments left out. */
  push(piece) {
    const parts = (this.rest + piece).split("\n\n");
    this.rest = parts.pop();
    return parts.map(readFrame).filter(Boolean);
  }
}

function readFrame(text) {
  const frame = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) frame[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return frame.id !== undefined || frame.data !== undefined ? frame : null;
}

/**
 * Follows the stream for as long as the page is open.
 *
 * `onEvents` gets events in order, each once. `onFresh` is called when a connection is made, and
 * when events were lost on one. It is told whether something has happened that no event tells any more.
 */
export class Follower {
  constructor({ onEvents, onFresh }) {
    this.onEvents = onEvents;
    this.onFresh = onFresh;
    this.lastId = null;
    this.failures = 0;
    this.queue = [];
    this.cutSince = 0;
    this.lost = true;
    this.flushing = false;
    this.flushed = 0;
    this.target = 0;
    this.arrived = [];
    this.heard = Infinity; // when the connection that we have last said something
    this.unaimed = 0; // events since we asked how many there are
    this.wake = () => {};
    this.leave = () => {};
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.leave("There is no network."));
    addEventListener("pagehide", () => this.leave("The page was left."));
    addEventListener("pageshow", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.listen();
      this.wake();
    });
    setInterval(() => {
      this.listen();
      this.measure();
    }, 1000);
  }

  /** Give up a connection that says nothing. By the clock: timers stand still while a machine sleeps. */
  listen() {
    if (Date.now() - this.heard > SILENCE_MS) this.leave("The server fell silent.");
  }

  async run() {
    for (;;) {
      try {
        await this.once();
        this.failures = 0;
      } catch (error) {
        if (error instanceof Problem && error.status === 403) {
          wanted.value = { message: error.message, retryAt: null }; // this token does not do
        }
        if (error instanceof Problem && (error.status === 401 || wanted.value)) {
          link.value = { state: "locked" };
          await new Promise((done) => {
            const stop = wanted.subscribe((value) => {
              if (value === null) queueMicrotask(() => (stop(), done()));
            });
          });
          this.failures = 0;
          continue;
        }
        this.failures += 1;
        await this.pause(error);
      }
    }
  }

  async pause(error) {
    const wait = Math.min(MOST_WAIT_MS, 250 * 2 ** Math.min(this.failures, 6));
    const ms = (error.retryAfter ?? 0) * 1000 || wait * (0.75 + Math.random() / 2);
    const since = this.cutSince || (this.cutSince = this.lastId === null ? 0 : Date.now());
    link.value = { state: "cut", retryAt: Date.now() + ms, message: error.message, since };
    await new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.wake = () => (clearTimeout(timer), done());
    });
    this.wake = () => {};
  }

  /** One connection, to its end. */
  async once() {
    if (link.value.state !== "cut") link.value = { state: "connecting" };
    const stats = await get("api/events/stats");
    this.target = seqOf(stats.newestEventId ?? "");
    const behind = this.target - seqOf(this.lastId ?? "");
    if (this.lastId === null || behind < 0 || behind > MOST_BEHIND) {
      this.lastId = stats.newestEventId ?? "evt_0_0";
      this.lost = true;
      this.flush();
    }
    const aborts = new AbortController();
    // A page that is kept for going back to holds no connection either.
    this.leave = (reason) => aborts.abort(new Error(reason));
    this.heard = Date.now();
    const begun = performance.now();
    try {
      const response = await ask("api/events", {
        headers: { Accept: "text/event-stream", "Last-Event-ID": this.lastId },
        signal: aborts.signal,
      });
      this.tell();
      this.onFresh(this.lost);
      this.lost = false;
      await this.read(response.body.pipeThrough(new TextDecoderStream()).getReader());
      if (performance.now() - begun < BRIEF_MS) throw new Error("The server ended the connection.");
    } catch (error) {
      throw aborts.signal.aborted ? aborts.signal.reason : broken(error);
    } finally {
      this.heard = Infinity;
      this.leave = () => {};
      aborts.abort();
    }
  }

  async read(reader) {
    const frames = new Frames();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.failures = 0;
      this.heard = Date.now();
      for (const frame of frames.push(value)) this.take(frame);
      this.tell();
    }
  }

  take(frame) {
    if (frame.id) this.lastId = frame.id;
    if (frame.data === undefined) return;
    if (frame.event === "stream:reset") {
      // What we have is of no use, and of what comes now we would have to read all: so we begin anew.
      this.lastId = null;
      throw new Error("What the server knows is not what it knew.");
    } else if (frame.event !== "stream:bye") {
      this.queue.push(JSON.parse(frame.data));
      if (this.queue.length >= 5000) this.flush();
      else this.flushSoon();
    }
  }

  tell() {
    const behind = this.target - seqOf(this.lastId ?? "");
    if (behind > 0) link.value = { state: "behind", behind };
    else if (link.value.state !== "live") link.value = { state: "live" };
    this.cutSince = 0;
  }

  flushSoon() {
    if (this.flushing) return;
    this.flushing = true;
    // What comes in a burst is drawn together: ten times a second is as good to read as sixty.
    const wait = document.hidden ? HIDDEN_MS : Math.max(0, this.flushed + FLUSH_MS - performance.now());
    setTimeout(() => this.flush(), wait);
  }

  flush() {
    this.flushing = false;
    const events = this.queue;
    if (!events.length) return;
    this.queue = [];
    this.flushed = performance.now();
    this.arrived.push([Date.now(), events.length]);
    this.unaimed += events.length;
    this.onEvents(events);
  }

  measure() {
    const since = Date.now() - 5000;
    this.arrived = this.arrived.filter(([at]) => at > since);
    rate.value = this.arrived.reduce((sum, [, count]) => sum + count, 0) / 5;
    if (this.unaimed > UNAIMED_EVENTS && link.value.state === "live") this.aim();
  }

  /** Find out whether we are behind: on a slow line that may be so however little comes. */
  async aim() {
    this.unaimed = 0;
    const stats = await get("api/events/stats").catch(() => null); // the stream tells that we are cut off
    if (stats) this.target = seqOf(stats.newestEventId ?? "");
  }
}

const broken = (error) => (error instanceof TypeError ? new Error("The connection broke.") : error);
