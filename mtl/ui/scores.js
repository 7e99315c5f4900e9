// A number or a label opens its sentences. All those of one table are one stop of the Tab key; arrow keys go from one to the next.
const opening = (part) => [...part.querySelectorAll('[data-find]')];
const settle = () => element.querySelectorAll('table').forEach((table) => opening(table).forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; }));
new MutationObserver(settle).observe(element, {childList: true, subtree: true});
settle();
element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-find]');
  if (!cell) return;
  opening(element).forEach((other) => other.removeAttribute('data-open'));
  cell.dataset.open = '';
  trigger('input', {find: cell.dataset.find});
});
element.addEventListener('keydown', (event) => {
  const cell = event.target.closest('table [data-find]'), row = cell?.closest('tr');
  if (!cell || !event.key.startsWith('Arrow')) return;
  event.preventDefault();
  const back = event.key === 'ArrowLeft' || event.key === 'ArrowUp';
  let next;
  if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
    const all = opening(row);
    next = all[all.indexOf(cell) + (back ? -1 : 1)];
  } else {  // the nearest row with a button in this column
    const column = cell.parentNode.cellIndex;
    for (let other = row; !next && (other = back ? other.previousElementSibling : other.nextElementSibling);)
      next = other.cells[column]?.querySelector('[data-find]');
  }
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
