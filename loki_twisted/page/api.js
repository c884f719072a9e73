// Requests to the server: the token, and what refusals mean.

import { signal } from "./html.js";

/** Where the API is: where the page is. */
const ROOT = new URL(".", location.href).pathname;
const KEPT = "loki-token";

/** What the server wants before it lets us in: null, or {message, retryAt}. */
export const wanted = signal(null);

let token = readToken();

function readToken() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // a browser that keeps nothing
  }
}

/** Use a token from now on, and keep it for as long as this tab is open. */
export function useToken(text) {
  token = text;
  wanted.value = null;
  try {
    if (text) sessionStorage.setItem(KEPT, text);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // It holds until the next reload then.
  }
}

/** Whether we show a token. */
export const hasToken = () => token !== "";

/** What a request was refused with. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body?.error ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code ?? "";
    this.details = body?.details ?? {};
    this.retryAfter = retryAfter;
  }

  /** What is wrong with which field of what was sent. */
  get fields() {
    const faults = this.details.errors;
    return Array.isArray(faults) ? faults : [];
  }
}

/** No answer at all: the server is away, or the way to it. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

/** A word that nobody else has chosen: what is sent again under it is done once. */
export function onceKey() {
  const words = crypto.getRandomValues(new Uint32Array(4));
  return "page-" + Array.from(words, (n) => n.toString(16).padStart(8, "0")).join("");
}

/** Ask; the response, once it is one of success. */
export async function ask(path, { method = "GET", body, headers = {}, signal: aborts } = {}) {
  const sent = { ...headers };
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: aborts,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (response.ok) return response;
  throw refusal(response, await response.json().catch(() => null));
}

function refusal(response, body) {
  const seconds = Number(response.headers.get("Retry-After")) || null;
  const problem = new Problem(response.status, body, seconds);
  if (response.status === 401) {
    wanted.value = { message: token ? "That token is not the right one." : "", retryAt: null };
  } else if (problem.code === "TOO_MANY_REQUESTS") {
    wanted.value = {
      message: "Too many wrong tokens were tried.",
      retryAt: Date.now() + (seconds ?? 30) * 1000,
    };
  }
  return problem;
}

export const get = async (path, signal) => (await ask(path, { signal })).json();

export const post = async (path, body, headers) =>
  (await ask(path, { method: "POST", body, headers })).json();

export const remove = async (path) => (await ask(path, { method: "DELETE" })).json();

/** A path with a query of what is not null. */
export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
