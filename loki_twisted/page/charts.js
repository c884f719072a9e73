// Tokens and cost over the time, drawn by uPlot, which is loaded when it is first needed.

import { html, useEffect, useRef, useState } from "./html.js";
import { Empty } from "./parts.js";
import { clock, compact, money } from "./text.js";

let library = null;
const load = () => (library ??= import("./vendor/uplot.js").then((module) => module.default));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The colours as they are now, in words that a canvas knows. */
function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value || colour(name);
}

function optionsOf(title, tone, format, width) {
  const line = resolved(tone);
  const axis = { stroke: resolved("--muted"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return {
    width,
    height: 200,
    cursor: { sync: { key: "usage" }, points: { size: 7 } },
    legend: { show: false },
    scales: { y: { range: (_, low, high) => [0, high * 1.1 || 1] } },
    padding: [8, 8, 0, 0],
    axes: [{ ...axis, space: 96, size: 28, values: (_, ticks) => ticks.map((at) => clock(at * 1000)) }, { ...axis, size: 60, values: (_, ticks) => ticks.map(format) }],
    series: [{}, { label: title, stroke: line, width: 2, fill: line.replace(/^rgb\((.*)\)$/, "rgba($1, 0.1)"), points: { show: false } }],
  };
}

function Chart({ title, tone, points, field, format }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [under, setUnder] = useState(null);
  const usable = points.filter((each) => each[field] !== null);
  const data = [usable.map((each) => each.at / 1000), usable.map((each) => each[field])];
  useEffect(() => {
    let gone = false;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = async () => {
      const Plot = await load();
      if (gone) return;
      plot.current?.destroy();
      const options = optionsOf(title, tone, format, box.current.clientWidth);
      options.hooks = { setCursor: [(chart) => setUnder(chart.cursor.idx ?? null)] };
      plot.current = new Plot(options, box.data ?? data, box.current);
    };
    draw();
    const resized = new ResizeObserver(([entry]) => plot.current?.setSize({ width: entry.contentRect.width, height: 200 }));
    resized.observe(box.current);
    const themed = new MutationObserver(draw);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    scheme.addEventListener("change", draw);
    return () => {
      gone = true;
      resized.disconnect();
      themed.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => {
    box.data = data;
    plot.current?.setData(data);
  }, [usable.length, usable.at(-1)?.seq]);
  const value = under === null ? usable.at(-1)?.[field] : (data[1][under] ?? usable.at(-1)?.[field]);
  return html`
    <figure class="chart">
      <figcaption><h2>${title}</h2><strong class="num">${value == null ? "\u2013" : format(value)}</strong></figcaption>
      <div ref=${box} role="img" aria-label=${`${title} over the time, ${value == null ? "nothing yet" : `${format(value)} so far`}`}></div>
    </figure>
  `;
}

export function Charts({ model, session }) {
  const points = model.points.value;
  const { usage } = session;
  if (model.loaded.value && points.length < 2) {
    return html`<div class="scroll"><${Empty} title="Nothing was spent yet">What the agent tells of tokens and money is drawn here.<//></div>`;
  }
  const kinds = [["Input", usage.inputTokens], ["Output", usage.outputTokens], ["Cache read", usage.cacheReadTokens], ["Cache write", usage.cacheWriteTokens], ["Reasoning", usage.reasoningTokens], ["Calls", usage.apiCalls]];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Usage">
      <div class="charts">
        <${Chart} title="Tokens" tone="--run" points=${points} field="tokens" format=${compact} />
        <${Chart} title="Cost" tone="--good" points=${points} field="cost" format=${money} />
        <dl class="figures">${kinds.filter(([, n]) => n).map(([name, n]) => html`<div><dt>${name}</dt><dd class="num">${compact(n)}</dd></div>`)}
          <div><dt>Cost is</dt><dd>${usage.costOrigin ?? "unknown"}</dd></div></dl>
      </div>
    </div>
  `;
}
