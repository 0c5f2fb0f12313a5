// Draws data.blocks as a row of buttons. Buttons are kept from one call to the next, so that focus survives.

const WORDS = { frozen: "frozen", trainable: "trainable", partly: "partly trainable" };

// The clicks on each drawing that the server has not answered yet: [number, block's name].
const waiting = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ol.network");
  if (data.stamp < Number(list.dataset.stamp ?? 0)) return; // A late call, see stamp.py.
  list.dataset.stamp = data.stamp;
  for (const [name, colour] of Object.entries(data.colours)) list.style.setProperty(`--${name}`, colour);

  const names = JSON.stringify(data.blocks.map((block) => block.name));
  if (names !== list.dataset.names) {
    list.replaceChildren(...data.blocks.map(makeBlock));
    list.firstElementChild?.prepend(makeEnd("pictures"));
    list.lastElementChild?.append(makeEnd("classes"));
    list.dataset.names = names;
    list.style.setProperty("--least", `${widthFor(data.blocks)}rem`);
  }

  const clicks = (waiting.get(list) ?? []).filter(([number]) => number > data.answered);
  waiting.set(list, clicks);
  const buttons = list.querySelectorAll("button");
  data.blocks.forEach((block, index) => {
    const button = buttons[index];
    button.onclick = () => {
      if (data.disabled) return;
      clicks.push([(clicks.at(-1)?.[0] ?? data.answered) + 1, block.name]);
      setTriggerValue("toggled", clicks);
      show(button, block, clicks, data.disabled);
    };
    show(button, block, clicks, data.disabled);
  });
}

// Inside the first and the last block's item, so that it stays beside that block in whatever row it is.
function makeEnd(word) {
  const end = makePart(`end ${word}`);
  end.append(makePart("mark"), word);
  return end;
}

function makeBlock({ name }) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  button.append(makePart("mark"), makePart("name", name), makePart("parameters"), makePart("size"));
  return item;
}

function makePart(className, text = "") {
  const part = document.createElement("span");
  part.className = className;
  part.textContent = text;
  return part;
}

function show(button, block, clicks, disabled) {
  const trainable = clicks
    .filter(([, name]) => name === block.name)
    .reduce((share) => (share === 1 ? 0 : 1), block.trainable);
  const state = trainable === 0 ? "frozen" : trainable === 1 ? "trainable" : "partly";
  button.className = state;
  button.setAttribute("aria-pressed", state === "partly" ? "mixed" : String(state === "trainable"));
  button.setAttribute("aria-disabled", String(disabled)); // Not `disabled`, which would take the focus away.
  button.setAttribute("aria-label", `${block.name}, ${block.parameters} parameters, ${WORDS[state]}`);
  const hint = disabled ? "" : ` Click to ${state === "trainable" ? "freeze" : "thaw"}.`;
  button.title = `${block.name}: ${WORDS[state]}.${hint} The bar grows with the logarithm of the parameters.`;
  button.querySelector(".parameters").textContent = block.parameters;
  button.querySelector(".size").style.setProperty("--share", sizeOf(block.count));
}

// Room for the longest name on one line, within limits: ten blocks of usual names fit beside the sidebar in one row.
function widthFor(blocks) {
  const longest = Math.max(...blocks.map((block) => block.name.length));
  return Math.min(Math.max(4.1, 0.8 + 0.5 * longest), 6.3);
}

// 0 for no parameters, 1 for a billion: the same scale for every network.
function sizeOf(count) {
  return count > 0 ? Math.min(Math.log10(count) / 9, 1) : 0;
}
