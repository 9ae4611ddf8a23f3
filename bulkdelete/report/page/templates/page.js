// Makes the charts of the page interactive, and searches the refused orders. Without it the page says the same.
(function () {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

  // Texts

  function two(n) {
    return String(n).padStart(2, "0");
  }

  function date(at) {
    return at.getUTCDate() + " " + MONTHS[at.getUTCMonth()];
  }

  function clock(at) {
    return two(at.getUTCHours()) + ":" + two(at.getUTCMinutes());
  }

  function moment(seconds) {
    const at = new Date(seconds * 1000);
    return date(at) + " " + at.getUTCFullYear() + ", " + clock(at) + (data.slot < 60 ? ":" + two(at.getUTCSeconds()) : "");
  }

  const number = (n) => n.toLocaleString("en", { maximumFractionDigits: n < 10 ? 2 : 1 });

  const units = {
    rate: number,
    count: number,
    ms: (n) => (n < 1000 ? Math.round(n) + " ms" : (n / 1000).toLocaleString("en", { maximumSignificantDigits: 2 }) + " s"),
  };

  // Charts. Slot i is drawn from i to i + 1; one without a beginning stands where time is left out. Times are those of the page's
  // time zone, so the labels are made as if it were UTC.

  const slots = data.begins;

  const LABEL_PX = 56;
  const WHOLE = [];  // steps of an axis: nothing that is counted has halves
  for (let power = 1; power < 1e12; power *= 10) {
    WHOLE.push(power, 2 * power, 5 * power);
  }

  function ticks(plot) {
    const from = plot.scales.x.min;
    const to = plot.scales.x.max;
    const room = LABEL_PX / (plot.bbox.width / devicePixelRatio / (to - from));
    if (from <= 0 && to >= slots.length) {
      let last = -room;
      return data.ticks.filter(function (tick) {
        const fits = tick[0] - last >= room;
        last = fits ? tick[0] : last;
        return fits;
      });
    }
    const step = Math.max(1, Math.ceil((to - from) / 8), Math.ceil(room));
    const found = [];
    let before = "";
    for (let i = Math.max(0, Math.ceil(from)); i < Math.min(slots.length, to); i += step) {
      if (slots[i] !== null) {
        const at = new Date(slots[i] * 1000);
        const whole = data.slot >= 86400;
        const below = whole ? String(at.getUTCFullYear()) : date(at);
        found.push([i, whole ? date(at) : clock(at) + (data.slot < 60 ? ":" + two(at.getUTCSeconds()) : ""), below === before ? "" : below]);
        before = below;
      }
    }
    return found;
  }

  function breaks(plot) {
    const context = plot.ctx;
    context.save();
    context.strokeStyle = color("soft");
    context.globalAlpha = 0.5;
    context.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    context.beginPath();
    slots.forEach(function (begin, i) {
      if (begin === null && i + 0.5 > plot.scales.x.min && i + 0.5 < plot.scales.x.max) {
        const x = Math.round(plot.valToPos(i + 0.5, "x", true)) + 0.5;
        context.moveTo(x, plot.bbox.top);
        context.lineTo(x, plot.bbox.top + plot.bbox.height);
      }
    });
    context.stroke();
    context.restore();
  }

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function drawn(figure, panel, sync) {
    const said = units[panel.unit];
    const colors = { limited: "refused", median: "settled" };
    const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1, size: 4 } };
    const series = panel.series.map(function (each) {
      const stroke = color(colors[each.css] || each.css);
      const common = { label: each.name, stroke: stroke, value: (plot, n) => (n === null || n === undefined ? "\u2013" : said(n)) };
      if (each.bars) {
        return Object.assign(common, { fill: stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.88, Infinity] }) });
      }
      const limit = each.css === "limit";
      return Object.assign(common, { width: limit ? 1.5 : 2, dash: limit ? [6, 5] : undefined, points: limit ? { show: false } : undefined });
    });
    const top = Math.max.apply(null, panel.series.map((each) => Math.max.apply(null, each.values.map((n) => n || 0))));
    const options = {
      width: figure.clientWidth,
      height: 220,
      series: [{ label: "from", value: (plot, x) => (x === null || x === undefined ? "\u2013" : moment(slots[Math.floor(x)])) }].concat(series),
      axes: [
        Object.assign({}, axis, {
          grid: { show: false },
          splits: (plot) => ticks(plot).map((tick) => tick[0]),
          values: (plot) => ticks(plot).map((tick) => tick[1] + (tick[2] === "" ? "" : "\n" + tick[2])),
        }),
        Object.assign({ values: (plot, splits) => splits.map((n) => (n === 0 ? "0" : said(n))), size: 60, incrs: panel.unit === "count" ? WHOLE : undefined }, axis),
      ],
      scales: {
        x: { time: false, range: (plot, from, to) => (from <= 0.5 && to >= slots.length - 0.5 ? [0, slots.length] : [from, to]) },
        y: { range: (plot, from, to) => uPlot.rangeNum(0, Math.max(to || 0, top * 0.02) || 1, { min: { pad: 0, hard: 0 }, max: { pad: 0.08 } }) },
      },
      legend: { markers: { width: 0, fill: (plot, i) => plot.series[i].stroke(plot, i) } },
      cursor: { sync: { key: sync.key, setSeries: false }, y: false, points: { size: 6 } },
      hooks: { drawAxes: [breaks] },
    };
    return new uPlot(options, [slots.map((begin, i) => i + 0.5)].concat(panel.series.map((each) => each.values)), figure);
  }

  const plots = [];

  function draw() {
    plots.splice(0).forEach((plot) => plot.destroy());
    const sync = uPlot.sync("time");
    Object.keys(data.panels).forEach(function (name) {
      const figure = document.getElementById(name);
      figure.classList.add("live");
      plots.push(drawn(figure, data.panels[name], sync));
    });
  }

  draw();
  document.querySelector(".live-only").hidden = false;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: plot.root.parentNode.clientWidth, height: 220 })));

  // Search. The words may stand in the message of a group, in a row, or some here and some there.

  const box = document.querySelector(".search");
  if (box !== null) {
    const input = box.querySelector("input");
    const told = box.querySelector("output");
    const none = document.querySelector("#refused .none");
    const groups = Array.from(document.querySelectorAll("#refused details"), function (details) {
      return {
        details: details,
        open: details.open,
        head: details.querySelector("summary").textContent.toLowerCase(),
        rows: Array.from(details.querySelectorAll("tbody tr"), (row) => ({ row: row, text: null })),
      };
    });

    function search() {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      groups.forEach(function (group) {
        const missing = words.filter((word) => !group.head.includes(word));
        let here = 0;
        group.rows.forEach(function (each) {
          if (each.text === null) {
            each.text = Array.from(each.row.cells, (cell) => cell.textContent).join(" ").toLowerCase();
          }
          const matches = missing.every((word) => each.text.includes(word));
          each.row.hidden = !matches;
          here += matches;
        });
        found += here;
        group.details.hidden = words.length > 0 && here === 0;
        group.details.open = words.length > 0 ? here > 0 && (missing.length > 0 || group.open) : group.open;
      });
      told.textContent = words.length > 0 ? units.count(found) + (found === 1 ? " order" : " orders") : "";
      none.hidden = words.length === 0 || found > 0;
    }

    let waiting = 0;
    input.addEventListener("input", function () {
      clearTimeout(waiting);
      waiting = setTimeout(search, 120);
    });
    box.hidden = false;
  }
})();
