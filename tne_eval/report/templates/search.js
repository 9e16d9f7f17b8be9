// Hides the rows of the list that do not hold every word of the field; accents and capitals do not count.
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const field = document.getElementById("recherche");
const found = document.getElementById("trouves");
const rows = [...document.querySelectorAll(".entries tbody tr")];
const texts = rows.map((row) => plain(row.textContent));
field.addEventListener("input", () => {
  const words = plain(field.value).split(/\s+/).filter(Boolean);
  rows.forEach((row, rank) => { row.hidden = !words.every((word) => texts[rank].includes(word)); });
  const shown = rows.filter((row) => !row.hidden).length;
  found.textContent = !words.length ? "" : shown > 1 ? `${shown} territoires` : shown ? "1 territoire" : "Aucun territoire";
});
field.parentElement.hidden = false;
