for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending", column = head.cellIndex;
    const key = (row) => row.cells[column].dataset.value;
    const order = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    const rows = [...body.rows].sort((a, b) =>
      (key(a) === "") - (key(b) === "") || (up ? 1 : -1) * order(key(a), key(b)));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  });
}
for (const button of document.querySelectorAll("button.theme")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  });
}
for (const input of document.querySelectorAll("input.filter")) {
  const rows = [...document.querySelectorAll(".filtered tbody tr")], found = document.querySelector(".found");
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.dataset.search.includes(word));
    found.textContent = words.length ? rows.filter((row) => !row.hidden).length + " of " + rows.length : "";
  };
  input.addEventListener("input", filter);
  filter();  // a browser that comes back keeps what was typed
}
