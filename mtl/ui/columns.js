// Whenever a choice or a name is changed, all rows are sent as JSON, and the table is drawn again: the focus, and what is being typed, stay.
let last = null;
element.addEventListener('change', (event) => {
  const tasks = element.querySelector('[data-tasks]').dataset.tasks.split(' ');
  const rows = [...element.querySelectorAll('[data-column]')].map((row) => {
    const role = row.querySelector('select').value, task = row.querySelector('input');
    task.parentNode.hidden = !tasks.includes(role);
    return {...JSON.parse(row.dataset.column), role, task: task.value};
  });
  if (last) last.typed = undefined;
  trigger('input', {rows: JSON.stringify(rows)});
});
element.addEventListener('focusin', (event) => { last = {id: event.target.id}; });
element.addEventListener('input', (event) => { last = {id: event.target.id, typed: event.target.value}; });
element.addEventListener('focusout', (event) => { if (event.target.isConnected) last = null; });
watch('value', () => setTimeout(() => {
  const part = last && element.querySelector(`#${last.id}`);
  if (!part || document.activeElement !== document.body) return;
  if (last.typed !== undefined) part.value = last.typed;
  part.focus();
}));
