// Draws each plot again so that one can point at it, from the numbers beside its SVG (plots.html).
// Without JavaScript the SVG stays.
"use strict";

(() => {
  const DASHES = [[], [6, 4], [1, 4], [10, 4, 1, 4]];
  const COLOURS = ["--plot", "--plot-2", "--text", "--mark"];
  const NEAR = 6; // pixels from a mark
  const FAINT = 0.55; // a mark's line, below the series
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let shown = [];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function fontSize() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.8;
  }

  function height(width) {
    return Math.round(Math.min(340, Math.max(180, width * 0.4)));
  }

  function drawMarks(u, marks) {
    const { ctx } = u;
    const size = 4 * devicePixelRatio;
    const top = u.bbox.top;
    ctx.save();
    ctx.setLineDash([]);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const [at, , bad] of marks) {
      const x = Math.round(u.valToPos(at, "x", true));
      ctx.strokeStyle = ctx.fillStyle = colour(bad ? "--bad" : "--mark");
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + u.bbox.height);
      ctx.globalAlpha = FAINT;
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.beginPath();
      if (bad) {
        ctx.moveTo(x - size, top - 2 * size);
        ctx.lineTo(x + size, top);
        ctx.moveTo(x + size, top - 2 * size);
        ctx.lineTo(x - size, top);
        ctx.stroke();
      } else {
        ctx.moveTo(x - size, top - 2 * size);
        ctx.lineTo(x + size, top - 2 * size);
        ctx.lineTo(x, top);
        ctx.fill();
      }
    }
    ctx.restore();
  }

  // What is pointed at, beside the title and in the legend.
  function point(figure, data, u) {
    const { idx, left } = u.cursor;
    const away = idx == null || left < 0;
    figure.querySelectorAll(".legend .last").forEach((one, place) => {
      one.dataset.last ??= one.textContent;
      one.textContent = away ? one.dataset.last : data.lines[place].texts[idx];
    });
    const near = away
      ? []
      : data.marks.filter(([at]) => Math.abs(u.valToPos(at, "x") - left) <= NEAR);
    figure.querySelector(".pointed").textContent = away
      ? ""
      : [data.at[idx], ...near.map(([, text]) => text)].join("; ");
  }

  function axes(data) {
    const font = `${fontSize()}px system-ui, sans-serif`;
    const line = { stroke: colour("--line"), width: 1 };
    const common = { stroke: colour("--quiet"), font, ticks: line, grid: line };
    const named = new Map(data.values.map(([value, text]) => [value, text]));
    const times = new Map(data.times.map(([at, text, minor]) => [at, { text, minor }]));
    const narrow = (u) => u.width < 34 * fontSize();
    return [
      {
        ...common,
        grid: { show: false },
        size: 2.4 * fontSize(),
        splits: () => [...times.keys()],
        values: (u, splits) =>
          splits.map((at) => (narrow(u) && times.get(at)?.minor ? "" : times.get(at)?.text ?? "")),
      },
      {
        ...common,
        size: 5.6 * fontSize(),
        splits: () => [...named.keys()],
        values: (_u, splits) => splits.map((value) => named.get(value) ?? ""),
      },
    ];
  }

  function draw(figure) {
    const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const svg = figure.querySelector("svg.drawn");
    const holder = document.createElement("div");
    holder.className = "canvas";
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", svg.getAttribute("aria-label"));
    svg.before(holder);
    svg.setAttribute("hidden", "");
    const width = holder.clientWidth;
    const options = {
      width,
      height: height(width),
      padding: [12, 12, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, sync: { key: "time" } },
      scales: {
        x: { time: true, range: () => [data.since, data.until] },
        y: { range: () => [0, data.top] },
      },
      axes: axes(data),
      series: [
        {},
        ...data.lines.map((_line, place) => ({
          stroke: colour(COLOURS[place % COLOURS.length]),
          dash: DASHES[place % DASHES.length],
          width: 2,
          spanGaps: false,
          points: { size: 4, fill: colour(COLOURS[place % COLOURS.length]) },
        })),
      ],
      hooks: {
        drawAxes: [(u) => drawMarks(u, data.marks)],
        setCursor: [(u) => point(figure, data, u)],
      },
    };
    const u = new uPlot(options, [data.x, ...data.lines.map((line) => line.values)], holder);
    const resized = new ResizeObserver(() => {
      const now = holder.clientWidth;
      if (now && now !== u.width) u.setSize({ width: now, height: height(now) });
    });
    resized.observe(holder);
    return () => {
      resized.disconnect();
      u.destroy();
      holder.remove();
      svg.removeAttribute("hidden");
    };
  }

  function drawAll() {
    shown.forEach((end) => end());
    shown = [...document.querySelectorAll("figure.plot")].map(draw);
  }

  document.addEventListener("refreshed", drawAll);
  dark.addEventListener("change", drawAll);
  drawAll();
})();
