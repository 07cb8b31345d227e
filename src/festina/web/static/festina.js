// Makes pages that are already complete follow the run. Without it everything works; one reloads by hand.
"use strict";

(function () {
  const heard = document.getElementById("heard");
  const badge = document.getElementById("badge");
  let seen = null, due = false, last = 0;

  function refresh() {
    due = false;
    last = Date.now();
    if (!document.querySelector("[data-live]") || document.hidden) return;
    htmx.ajax("GET", location.pathname + location.search, { select: "#live", target: "#live", swap: "outerHTML" });
  }

  function listen() {
    const source = new EventSource("/events");
    source.addEventListener("entry", function (event) {
      const said = JSON.parse(event.data);
      const mark = said.size + said.state + said.waiting;
      const first = seen === null;
      if (mark === seen) return;
      seen = mark;
      badge.textContent = said.state;
      badge.className = "badge " + said.state.replaceAll(" ", "-");
      if (first) return;
      if (said.news && said.news !== heard.textContent) heard.textContent = said.news;
      if (!due) {
        due = true;
        setTimeout(refresh, Math.max(0, 500 - (Date.now() - last)));
      }
    });
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function axis() {
    return { stroke: colour("--muted"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  }

  // How evidence grew with each pair of runs.
  function evidence(data) {
    const big = function (value) { return value < 3 ? String(Math.round(Math.pow(10, value) * 10) / 10) : Math.round(Math.pow(10, value)).toLocaleString("en"); };
    const words = function (_, value) {
      if (value == null) return "–";
      return value >= 0 ? big(value) + " to 1" : "1 to " + big(-value);
    };
    return {
      axes: [Object.assign(axis(), { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }), Object.assign(axis(), { size: 82, values: function (_, ticks) { return ticks.map(function (t) { return Number.isInteger(t) ? words(null, t) : ""; }); } })],
      series: [
        { label: "pairs" },
        { label: "evidence", stroke: colour("--" + data.tone), width: 2, value: words },
        { label: "needed", stroke: colour("--ink"), width: 1, dash: [4, 4], value: words, points: { show: false } },
      ],
      data: [data.x, data.y, data.x.map(function () { return data.needed; })],
    };
  }

  // Doublings by generation, measured and foreseen.
  function growth(data) {
    const m = data.measured, f = data.ahead, x = m.generation.concat(f.generation.slice(1));
    const words = function (_, value) { return value == null ? "–" : value.toFixed(2); };
    const early = function (part) { return m[part].concat(f.generation.slice(1).map(function () { return null; })); };
    const late = function (part) { return m.generation.slice(1).map(function () { return null; }).concat(f[part]); };
    const edge = function (label, tone) { return { label: label, stroke: colour(tone), width: 1, value: words, points: { show: false } }; };
    const found = {
      axes: [Object.assign(axis(), { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }), Object.assign(axis(), { size: 58 })],
      series: [
        { label: "generation" },
        { label: "doublings", stroke: colour("--good"), width: 2, value: words }, edge("2.5 %", "--good"), edge("97.5 %", "--good"),
      ],
      data: [x, early("level"), early("low"), early("high")],
    };
    if (f.generation.length) {
      found.series.push({ label: "foreseen", stroke: colour("--other"), width: 2, dash: [4, 4], value: words }, edge("5 %", "--other"), edge("95 %", "--other"));
      found.data.push(late("level"), late("low"), late("high"));
    }
    return found;
  }

  // Without a cursor the legend reads the last point, not dashes.
  function newest(plot) {
    queueMicrotask(function () { plot.setLegend({ idx: plot.data[0].length - 1 }, false); });
  }

  // Lays a plot with a cursor over the server's picture.
  function draw(root) {
    for (const box of root.querySelectorAll(".plot[data-evidence], .plot[data-growth]")) {
      if (box.dataset.drawn) continue;
      box.dataset.drawn = "1";
      const what = box.dataset.evidence ? evidence(JSON.parse(box.dataset.evidence)) : growth(JSON.parse(box.dataset.growth));
      const host = document.createElement("div");
      host.setAttribute("aria-hidden", "true");
      box.append(host);
      const plot = new uPlot({
        width: box.clientWidth, height: 200, cursor: { y: false }, legend: { live: true },
        scales: { x: { time: false } }, axes: what.axes, series: what.series,
        hooks: { ready: [newest], setSize: [newest], setCursor: [function (u) { if (u.cursor.idx == null) newest(u); }] },
      }, what.data, host);
      box.classList.add("drawn");
      new ResizeObserver(function () {
        if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: 200 });
      }).observe(box);
    }
  }

  // j and k walk the rows of a list; every link is reachable by Tab all the same.
  document.addEventListener("keydown", function (event) {
    if ((event.key !== "j" && event.key !== "k") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const rows = Array.from(document.querySelectorAll("[data-row]"));
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
    rows[Math.max(0, Math.min(rows.length - 1, at))].focus();
  });

  document.addEventListener("htmx:afterSettle", function () { draw(document); });
  document.addEventListener("visibilitychange", function () { if (!document.hidden) refresh(); });
  draw(document);
  listen();
})();
