// One session that is looked at: windows on what its agent said, logged, did and spent.

import { batch, signal } from "./html.js";
import { Problem, get, query } from "./api.js";
import { seqOf } from "./stream.js";
import { Window } from "./windows.js";

const MOST_LINES = 20_000;
const MOST_TALK = 600;
const MOST_LETTERS = 8_000_000; // of either, however long its parts are
const MOST_POINTS = 2_000;
const MOST_TASKS = 1_000;
const MOST_PHASES = 300;
const LOG_PAGE = 1_000;
const TALK_PAGE = 200;

const TALK_TYPES =
  "agent:*,input:*,message:*,phase:*,session:started,session:paused,session:resumed,session:stopped,session:completed,session:failed,session:stalled";
const TALKS = /^(?:agent:|input:|message:|phase:|session:(?!updated))/;
const LEVELS = ["debug", "info", "warn", "error"];

export class SessionModel {
  constructor(id) {
    this.id = id;
    this.missing = signal(false);
    this.loaded = signal(false);
    this.failure = signal(null);
    this.talk = new Window(MOST_TALK, ({ data }) => lettersOf(data), MOST_LETTERS);
    this.log = new Window(MOST_LINES, ({ text }) => text.length, MOST_LETTERS);
    this.level = signal("debug");
    this.tasks = signal([]);
    this.moreTasks = signal(0);
    this.phases = signal([]);
    this.points = signal([]);
    this.early = []; // what is told while the past is still being read
    this.reading = 0;
    this.taskTimer = null;
  }

  path(rest = "") {
    return `api/sessions/${encodeURIComponent(this.id)}${rest}`;
  }

  history(parameters) {
    return get(query("api/events/history", { sessionId: this.id, ...parameters }));
  }

  /** Read how it stands. What the stream tells meanwhile comes behind it, each event once. */
  async load() {
    const turn = ++this.reading;
    this.early = [];
    try {
      const [talk, log, phases, metrics, tasks] = await Promise.all([
        this.history({ types: TALK_TYPES, limit: TALK_PAGE }),
        this.history({ types: "log:*", minLevel: this.level.value, limit: LOG_PAGE }),
        this.history({ types: "phase:*", limit: MOST_PHASES }),
        this.history({ types: "metrics:update", limit: 1000 }),
        get(query(this.path("/tasks"), { limit: MOST_TASKS })),
      ]);
      if (turn !== this.reading) return;
      batch(() => {
        this.talk.reset(talk.events.map(item), talk.count === TALK_PAGE);
        this.log.reset(log.events.map(line), log.count === LOG_PAGE);
        this.phases.value = phases.events.map(item);
        this.points.value = metrics.events.map(point);
        this.takeTasks(tasks);
        this.failure.value = null;
        this.loaded.value = true;
        const early = this.early;
        this.early = null;
        this.hear(early);
      });
    } catch (error) {
      // What cannot be an id at all is none either.
      if (error instanceof Problem && [404, 422].includes(error.status)) this.missing.value = true;
      else this.failure.value = error.message;
    }
  }

  takeTasks({ tasks, pagination }) {
    this.tasks.value = tasks.toReversed();
    this.moreTasks.value = pagination.total - tasks.length;
  }

  /** Take what the stream tells; events of other sessions are passed over. */
  hear(events) {
    const ours = events.filter((each) => each.sessionId === this.id);
    if (!ours.length) return;
    if (this.early !== null) {
      this.early.push(...ours);
      if (this.early.length > MOST_LINES) this.early.splice(0, MOST_LINES / 2);
      return;
    }
    this.talk.append(ours.filter((each) => TALKS.test(each.type)).map(item));
    const least = LEVELS.indexOf(this.level.value);
    this.log.append(
      ours
        .filter((each) => each.type.startsWith("log:") && LEVELS.indexOf(each.type.slice(4)) >= least)
        .map(line),
    );
    this.hearRest(ours);
  }

  hearRest(ours) {
    const phases = ours.filter((each) => each.type.startsWith("phase:")).map(item);
    const last = this.phases.value.at(-1)?.seq ?? 0;
    const fresh = phases.filter((each) => each.seq > last);
    if (fresh.length) this.phases.value = [...this.phases.value, ...fresh].slice(-MOST_PHASES);
    const points = ours.filter((each) => each.type === "metrics:update").map(point);
    if (points.length) this.takePoints(points);
    if (ours.some((each) => each.type.startsWith("task:"))) this.readTasksSoon();
  }

  takePoints(points) {
    const known = this.points.value;
    const last = known.at(-1)?.seq ?? 0;
    let all = [...known, ...points.filter((each) => each.seq > last)];
    // A long curve is drawn as well by every other point of it.
    if (all.length > MOST_POINTS) all = all.filter((_, i) => i % 2 === 0 || i === all.length - 1);
    this.points.value = all;
  }

  readTasksSoon() {
    if (this.taskTimer !== null) return;
    this.taskTimer = setTimeout(async () => {
      this.taskTimer = null;
      try {
        this.takeTasks(await get(query(this.path("/tasks"), { limit: MOST_TASKS })));
      } catch {
        // The next task event reads them again, and so does a stream that is back.
      }
    }, 300);
  }

  /** Show log lines from this level on. */
  async setLevel(level) {
    this.level.value = level;
    await this.newestLog();
  }

  /** Go back to the end of the log. */
  newestLog() {
    return this.newest(this.log, { types: "log:*", minLevel: this.level.value, limit: LOG_PAGE }, line);
  }

  /** Go back to the end of the conversation. */
  newestTalk() {
    return this.newest(this.talk, { types: TALK_TYPES, limit: TALK_PAGE }, item);
  }

  async newest(part, asked, shape) {
    try {
      const { events, count } = await this.history(asked);
      part.reset(events.map(shape), count === asked.limit);
      this.failure.value = null;
    } catch (error) {
      this.failure.value = error.message;
    }
  }

  /** Read older log lines; gives how many there were. */
  earlierLog() {
    const asked = { types: "log:*", minLevel: this.level.value, limit: LOG_PAGE };
    return this.earlier(this.log, asked, line);
  }

  /** Read older parts of the conversation. */
  earlierTalk() {
    return this.earlier(this.talk, { types: TALK_TYPES, limit: TALK_PAGE }, item);
  }

  async earlier(part, asked, shape) {
    const first = part.items[0];
    if (part.loading || !part.hasEarlier || !first) return 0;
    part.loading = true;
    try {
      const { events, count } = await this.history({ ...asked, before: first.id });
      // By its id: all may have been read anew meanwhile.
      if (part.items[0]?.id === first.id) part.prepend(events.map(shape), count === asked.limit);
      this.failure.value = null;
      return count;
    } catch (error) {
      if (error instanceof Problem && error.status === 410) part.hasEarlier = false; // dropped since
      else this.failure.value = error.message;
      return 0;
    } finally {
      part.loading = false;
    }
  }
}

/** About how many letters there are in a value, in all its parts: what it weighs. */
function lettersOf(value) {
  let letters = 0;
  const left = [value];
  while (left.length) {
    const one = left.pop();
    letters += typeof one === "string" ? one.length : 1;
    if (one !== null && typeof one === "object") for (const part of Object.values(one)) left.push(part);
  }
  return letters;
}

const item = ({ id, type, timestamp, data }) => ({
  seq: seqOf(id),
  id,
  type,
  at: Date.parse(timestamp),
  data,
});

const line = ({ id, type, timestamp, data }) => ({
  seq: seqOf(id),
  id,
  at: Date.parse(timestamp),
  level: type.slice(4),
  source: typeof data.source === "string" ? data.source : "",
  text: typeof data.message === "string" ? data.message : JSON.stringify(data.message ?? ""),
});

const point = ({ id, timestamp, data }) => ({
  seq: seqOf(id),
  at: Date.parse(timestamp),
  tokens: data.tokensUsed ?? null,
  cost: data.cost ?? null,
});
