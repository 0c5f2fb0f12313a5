// Redraws one plotly chart in place. `uirevision` tells plotly to keep zoom and hidden curves.

// Buttons are named one by one: plotly's own set offers to upload.
const CONFIG = { displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };

let plotly; // One download for all charts of the page.

// Plotly itself listens to the window only, which keeps its size when the sidebar opens.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (!target.isConnected) {
      widths.unobserve(target);
      window.Plotly.purge(target);
    } else if (target.clientWidth > 0) {
      window.Plotly.Plots.resize(target);
    }
  }
});

export default function ({ data, parentElement }) {
  const chart = parentElement.querySelector(".chart");
  const sentence = parentElement.querySelector(".sentence");
  if (data.stamp < Number(chart.dataset.stamp ?? 0)) return; // A late call, see stamp.py.
  chart.dataset.stamp = data.stamp;
  // A copy, since plotly writes zoom into what it is given, and Streamlit hands the same object over again when the theme
  // changes: plotly would take the zoom for ours, and forget it with the next data.
  const mine = structuredClone(data);
  mine.thumbnail = parentElement.querySelector(".thumbnail");
  loadPlotly(new URL(data.plotly, document.baseURI).href).then(
    (Plotly) => draw(Plotly, chart, mine),
    () => {
      sentence.textContent = "The chart cannot be drawn: the page could not load plotly from its own server. Reload it.";
      sentence.hidden = false;
    },
  );
}

function loadPlotly(address) {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return plotly;
}

async function draw(Plotly, chart, { figure, height, waiting, sheet, thumbnail }) {
  const isNew = chart.data === undefined;
  chart.setAttribute("aria-label", inWords(figure));
  await Plotly.react(chart, figure.data, layoutOf(chart, figure, height, waiting), CONFIG);
  chart.sheet = sheet; // Other pictures may come into the same chart.
  if (isNew) {
    widths.observe(chart);
    chart.on("plotly_hover", ({ points: [point], event }) => showThumbnail(thumbnail, chart.sheet, point.customdata, event));
    chart.on("plotly_unhover", () => { thumbnail.hidden = true; });
  }
}

// Above the cursor, where plotly's own label does not lie; below it at the top of the screen.
function showThumbnail(thumbnail, sheet, number, { clientX, clientY }) {
  if (!sheet) return;
  const { url, side, columns } = sheet;
  const above = clientY - side - 24;
  Object.assign(thumbnail.style, {
    width: `${side}px`,
    height: `${side}px`,
    backgroundImage: `url("${url}")`,
    backgroundPosition: `-${(number % columns) * side}px -${Math.floor(number / columns) * side}px`,
    left: `${Math.min(clientX - side / 2, window.innerWidth - side - 8)}px`,
    top: `${above > 0 ? above : clientY + 24}px`,
  });
  thumbnail.hidden = false;
}

function layoutOf(chart, { data, layout }, height, waiting) {
  const colour = (name) => getComputedStyle(chart).getPropertyValue(name).trim();
  const text = colour("--st-text-color");
  const background = colour("--st-background-color");
  const { title, ...xaxis } = layout.xaxis ?? {};
  const axis = { gridcolor: colour("--st-border-color"), zeroline: false, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, size: 15, family: colour("--st-font") },
    margin: { l: 55, r: 46, t: 40, b: 45 }, // On the right, room for plotly's buttons and the name of the axis.
    hovermode: "closest",
    hoverlabel: { bgcolor: colour("--st-secondary-background-color"), font: { color: text, size: 15 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: text, activecolor: colour("--st-primary-color"), orientation: "v" },
    ...layout,
    annotations: [
      ...(title ? [atTheEnd(title.text)] : []),
      ...(data.some((trace) => trace.x?.length) ? [] : [inTheMiddle(waiting, background)]),
    ],
    legend: { ...layout.legend, bgcolor: "rgba(0,0,0,0)" },
    legend2: { ...layout.legend2, bgcolor: "rgba(0,0,0,0)", font: { size: 13 } },
    height,
    uirevision: "keep",
    autosize: true,
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}

// The name of the x axis at its end: below it, the legend of the terms is in its way.
function atTheEnd(text) {
  const place = { xref: "paper", yref: "paper", x: 1, xanchor: "left", xshift: 4, y: 0, yanchor: "middle" };
  return { text, showarrow: false, font: { size: 13 }, ...place };
}

function inTheMiddle(text, bgcolor) {
  return { text, bgcolor, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5, font: { size: 16 } };
}

// "Loss. training: 0.412 at 3." for those who cannot see the curves.
function inWords({ data, layout }) {
  const sentences = data
    .filter((trace) => trace.x?.length)
    .map((trace) => trace.type === "bar" ? bars(trace) : lastPoint(trace));
  return [`Chart: ${asText(layout.title?.text ?? "")}.`, ...sentences].join(" ");
}

function lastPoint({ name, x, y }) {
  return `${asText(name ?? "")}: ${Number(y.at(-1)?.toPrecision(3))} at ${x.at(-1)}.`;
}

// Bars lie: their names are up the side.
function bars({ name, x, y }) {
  return `${asText(name ?? "")}: ${y.map((label, at) => `${asText(label)} ${x[at]}`).join(", ")}.`;
}

// Names come with their HTML escaped, for plotly.
function asText(html) {
  return new DOMParser().parseFromString(html, "text/html").body.textContent;
}
