// After every change all rows are sent as JSON, and the server draws the table again. The focus and a half typed name are kept.
let last = null;
const send = () => {
  const tasks = element.querySelector('[data-tasks]').dataset.tasks.split(' ');
  const rows = [...element.querySelectorAll('[data-column]')].map((row) => {
    const role = row.querySelector('select').value, task = row.querySelector('input');
    task.parentNode.hidden = !tasks.includes(role);
    return {...JSON.parse(row.dataset.column), role, task: task.value};
  });
  if (last) last.typed = undefined;
  trigger('input', {rows: JSON.stringify(rows)});
};
element.addEventListener('change', send);
element.addEventListener('focusin', (event) => { if (last?.id !== event.target.id) last = {id: event.target.id}; });
element.addEventListener('input', (event) => { last = {id: event.target.id, typed: event.target.value}; });
element.addEventListener('focusout', (event) => {
  if (!event.target.isConnected) return;
  if (last?.typed !== undefined) send();  // typed before the table was drawn again: then the browser fires no change event
  last = null;
});
new MutationObserver(() => {
  const part = last && element.querySelector(`#${last.id}`);
  if (!part || document.activeElement !== document.body) return;
  if (last.typed !== undefined) part.value = last.typed;
  part.focus();
}).observe(element, {childList: true, subtree: true});
