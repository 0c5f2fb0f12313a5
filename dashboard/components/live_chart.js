// Redraws one plotly chart in place. `uirevision` tells plotly to keep zoom and hidden curves.

export default function ({ data, parentElement }) {
  const chart = parentElement.querySelector(".chart");
  const sentence = parentElement.querySelector(".sentence");
  loadPlotly(new URL(data.plotly, document.baseURI).href).then(
    (Plotly) => draw(Plotly, chart, data),
    () => {
      sentence.textContent = "The chart cannot be drawn: the page could not load plotly from its own server. Reload it.";
      sentence.hidden = false;
    },
  );
}

function draw(Plotly, chart, { figure, height }) {
  const colour = (name) => getComputedStyle(chart).getPropertyValue(name).trim();
  const text = colour("--st-text-color");
  const axis = { gridcolor: faint(text), zeroline: false, automargin: true };
  const layout = {
    ...figure.layout,
    height,
    uirevision: "keep",
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, size: 15, family: colour("--st-font") },
    margin: { l: 55, r: 10, t: 40, b: 45 },
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
    hovermode: "closest",
    modebar: { orientation: "v" }, // Beside the curves: above them it would cover the legend.
  };
  const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]]; // Named one by one: plotly's own set offers to upload.
  const config = { displaylogo: false, responsive: true, modeBarButtons: buttons };
  chart.setAttribute("aria-label", `Chart: ${figure.layout.title?.text ?? ""}`);
  Plotly.react(chart, figure.data, layout, config);
}

function faint(colour) {
  const channels = colour.match(/^#(..)(..)(..)/);
  return channels ? `rgba(${channels.slice(1).map((hex) => parseInt(hex, 16)).join(",")},0.15)` : "rgba(128,128,128,0.25)";
}

function loadPlotly(address) {
  window.thawPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return window.thawPlotly;
}
