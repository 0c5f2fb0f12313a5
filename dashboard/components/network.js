// Draws data.blocks as a row of buttons. Buttons are kept from one call to the next, so that focus survives.

const STATES = {
  frozen: { mark: "❄\uFE0E", words: "frozen" },
  trainable: { mark: "☀\uFE0E", words: "trainable" },
  partly: { mark: "◐", words: "partly trainable" },
};

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ol.network");
  for (const [name, colour] of Object.entries(data.colours)) list.style.setProperty(`--${name}`, colour);

  const names = data.blocks.map((block) => block.name);
  if (names.join("\n") !== list.dataset.names) {
    list.replaceChildren(...names.map(makeItem));
    list.dataset.names = names.join("\n");
  }
  data.blocks.forEach((block, index) => {
    const button = list.children[index].firstElementChild;
    button.onclick = () => {
      show(button, block, block.trainable === 1 ? 0 : 1); // At once; the server's answer follows.
      setTriggerValue("toggled", block.name);
    };
    show(button, block, block.trainable);
  });
}

function makeItem() {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  for (const part of ["mark", "name", "parameters"]) button.appendChild(document.createElement("span")).className = part;
  return item;
}

function show(button, block, trainable) {
  const state = trainable === 0 ? "frozen" : trainable === 1 ? "trainable" : "partly";
  const { mark, words } = STATES[state];
  button.className = state;
  button.setAttribute("aria-pressed", state === "partly" ? "mixed" : String(state === "trainable"));
  button.setAttribute("aria-label", `${block.name}, ${block.parameters} parameters, ${words}`);
  button.title = `${block.name}: ${words}. Click to ${state === "trainable" ? "freeze" : "thaw"}.`;
  button.querySelector(".mark").textContent = mark;
  button.querySelector(".name").textContent = block.name;
  button.querySelector(".parameters").textContent = block.parameters;
}
