"use strict";
// The page reads without this: it adds copy buttons and filters, and opens what an address points at.

for (const block of document.querySelectorAll(".copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + block.querySelector(".label").firstChild.textContent);
  button.addEventListener("click", async () => {
    const text = block.querySelector("pre").textContent;
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      copied = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = copied ? "Copied" : "Select it by hand";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  block.querySelector(".label").append(button);
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.hidden = false;
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", reveal);
reveal();

const list = document.querySelector("[data-filtered]");
if (list) {
  const wanted = new Set();
  const bar = document.createElement("div");
  bar.className = "filters";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Filter the requirements");
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter by id or text";
  field.setAttribute("aria-label", field.placeholder);
  const told = document.createElement("span");
  told.className = "soft";
  told.setAttribute("role", "status");

  const apply = () => {
    const words = field.value.trim().toLowerCase();
    let count = 0;
    for (const group of list.querySelectorAll("section")) {
      let shown = 0;
      for (const one of group.querySelectorAll("details")) {
        const matches = (!wanted.size || wanted.has(one.dataset.verdict)) && one.querySelector("summary").textContent.toLowerCase().includes(words);
        one.hidden = !matches;
        shown += matches;
      }
      group.hidden = !shown;
      count += shown;
    }
    told.textContent = `${count} shown`;
  };
  for (const total of document.querySelectorAll(".totals [data-verdict]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = total.textContent;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const verdict = total.dataset.verdict;
      wanted.has(verdict) ? wanted.delete(verdict) : wanted.add(verdict);
      button.setAttribute("aria-pressed", String(wanted.has(verdict)));
      apply();
    });
    bar.append(button);
  }
  field.addEventListener("input", apply);
  bar.append(field, told);
  list.prepend(bar);
}
