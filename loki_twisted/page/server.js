// The server: whether it is well, what is degraded, how much goes on.

import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { Icon } from "./parts.js";
import { providers } from "./store.js";
import { rate } from "./stream.js";
import { bytes, clean, compact, duration, money } from "./text.js";

const EVERY_MS = 5000;

async function read() {
  const [status, stats, usage] = await Promise.all([
    get("api/status"),
    get("api/events/stats"),
    get("api/usage?by=day&limit=14"),
  ]);
  return { status, stats, usage };
}

export function ServerView() {
  const [state, setState] = useState(null);
  const [fault, setFault] = useState("");
  useEffect(() => {
    let timer;
    let gone = false;
    const look = async () => {
      try {
        const found = document.hidden ? null : await read();
        if (gone) return;
        if (found) setState(found);
        setFault("");
      } catch (error) {
        if (!gone) setFault(error.message);
      }
      if (!gone) timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
  return html`
    <div class="view server" tabindex="0" role="region" aria-label="How the server is">
      <header class="head"><h1>Server</h1>${state && html`<p class="sum">loki_twisted ${state.status.version}</p>`}</header>
      ${fault && html`<p class="note bad" role="alert">${fault} These figures are old.</p>`}
      ${state ? html`<${Health} ...${state} />` : html`<p class="note" role="status">Reading\u2026</p>`}
    </div>
  `;
}

function Health({ status, stats, usage }) {
  const { problems, system, sessions } = status;
  const well = !problems.length;
  const here = providers.value.filter((each) => each.available);
  const absent = providers.value.filter((each) => !each.available).map((each) => each.name).join(", ");
  return html`
    <section class=${`card health ${well ? "tone-good" : "tone-wait"}`} aria-label="Health">
      <h2><i class="dot"></i>${well ? "All is well" : "Degraded"}</h2>
      ${well ? html`<p>It takes work, and everything that happens is on disk.</p>` : html`<ul>${problems.map((each) => html`<li>${clean(each)}</li>`)}</ul>`}
    </section>
    <div class="tiles">
      <${Tile} name="Up for" value=${duration(status.uptime)} />
      <${Tile} name="Sessions at work" value=${compact(sessions.running)} more=${`${compact(sessions.total)} in all, ${compact(sessions.failed)} failed`} />
      <${Tile} name="Events a second" value=${compact(Math.round(stats.eventsPerSecond * 10) / 10)} more=${`${compact(Math.round(rate.value * 10) / 10)} seen here`} />
      <${Tile} name="Subscribers" value=${compact(stats.subscribers)} more=${stats.lag ? `the slowest is ${compact(stats.lag)} behind` : "all keep up"} />
      <${Tile} name="Events kept" value=${compact(stats.historySize)} />
      <${Tile} name="Disk" value=${system.diskFree == null ? "\u2013" : `${bytes(system.diskFree)} free`} more=${system.logBytes == null ? "" : `the log takes ${bytes(system.logBytes)}`} />
      <${Tile} name="Memory" value=${bytes(system.memoryUsed)} more="of the server itself" />
      <${Tile} name="Load" value=${system.loadAverage.toFixed(2)} more=${`on ${system.cpus} processors`} />
    </div>
    <div class="halves">
      <section class="card" aria-label="Spent by day"><h2>Spent by day</h2><${Days} usage=${usage} /></section>
      <section class="card" aria-label="Agents"><h2>Agents</h2>
        <ul class="agents">${here.map((each) => html`<li><${Icon} name="check" />${each.name}</li>`)}</ul>
        ${absent && html`<p class="note absent-names">Not here: ${absent}</p>`}</section>
    </div>
    <p class="note">Python ${system.pythonVersion}, Twisted ${system.twistedVersion}, SQLite ${system.sqliteVersion}, ${system.platform} ${system.arch}</p>
  `;
}

const Tile = ({ name, value, more }) => html`
  <div class="tile"><span>${name}</span><strong class="num">${value}</strong><small>${more || "\u00a0"}</small></div>
`;

function Days({ usage }) {
  const lines = usage.lines;
  if (!lines.length) return html`<p class="note">Nothing was spent yet.</p>`;
  const most = Math.max(...lines.map((each) => each.spending.cost), 0.000001);
  return html`
    <ul class="days">${lines.map(
      (each) => html`<li><span class="num">${each.key}</span><span class="bar" aria-hidden="true"><span style=${{ width: `${(100 * each.spending.cost) / most}%` }}></span></span>
        <span class="num">${money(each.spending.cost)}</span></li>`,
    )}</ul>
    <p class="note num">${money(usage.sum.spending.cost)} in all</p>
  `;
}
