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

  // Lays a plot with a cursor over the server's picture of how evidence grew.
  function draw(root) {
    for (const box of root.querySelectorAll(".plot[data-evidence]")) {
      if (box.dataset.drawn) continue;
      box.dataset.drawn = "1";
      const data = JSON.parse(box.dataset.evidence);
      const big = function (value) { return value < 3 ? String(Math.round(Math.pow(10, value) * 10) / 10) : Math.round(Math.pow(10, value)).toLocaleString("en"); };
      const words = function (_, value) {
        if (value == null) return "–";
        return value >= 0 ? big(value) + " to 1" : "1 to " + big(-value);
      };
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      const host = document.createElement("div");
      host.setAttribute("aria-hidden", "true");
      box.append(host);
      const plot = new uPlot({
        width: box.clientWidth, height: 200, cursor: { y: false }, legend: { live: true },
        scales: { x: { time: false } },
        axes: [axis, Object.assign({ size: 82, values: function (_, ticks) { return ticks.map(function (t) { return Number.isInteger(t) ? words(null, t) : ""; }); } }, axis)],
        series: [
          { label: "pairs" },
          { label: "evidence", stroke: colour("--" + data.tone), width: 2, value: words },
          { label: "needed", stroke: colour("--ink"), width: 1, dash: [4, 4], value: words, points: { show: false } },
        ],
      }, [data.x, data.y, data.x.map(function () { return data.needed; })], host);
      plot.setLegend({ idx: data.x.length - 1 });
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
