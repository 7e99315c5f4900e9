// The table is drawn as the server sends it, but not while something is typed into it; what is chosen, and where the keyboard is, stays.
const box = element.querySelector('.mtl-list'), chosen = new Set();
const row = (part) => part?.closest?.('[data-run]'), rows = () => [...box.querySelectorAll('[data-run]')];
const isTyped = (part) => box.contains(part) && ['name', 'note'].includes(part.name);
let drawn;
const mark = () => {
  for (const run of rows()) run.querySelector('[type=checkbox]').checked = chosen.has(run.dataset.run);
  const [status, together, none] = ['[role=status]', '[data-action=together]', '[data-action=none]'].map((part) => box.querySelector(part));
  if (!status) return;
  status.textContent = chosen.size < 2 ? 'Choose two runs or more to lay them side by side.' : `${chosen.size} runs chosen`;
  together.disabled = chosen.size < 2;
  none.disabled = !chosen.size;
};
const choose = () => { mark(); trigger('input', {action: 'choose', value: [...chosen].join(' ')}); };
const draw = () => {
  if (drawn === props.value || isTyped(document.activeElement)) return;
  const last = box.contains(document.activeElement) && document.activeElement, run = row(last)?.dataset.run, action = last && last.dataset.action;
  box.innerHTML = drawn = props.value ?? '';
  if (last) box.querySelector(`${run ? `[data-run="${run}"] ` : ''}${action ? `[data-action="${action}"]` : '[type=checkbox]'}`)?.focus();
  const before = chosen.size;
  for (const id of chosen) if (!rows().some((one) => one.dataset.run === id)) chosen.delete(id);
  chosen.size === before ? mark() : choose();
};
const acts = {
  show: (id) => trigger('click', {id}),
  again: (id) => trigger('submit', {id}),
  help: (id) => trigger('help', {id}),
  rename: (id, button) => {
    const field = row(button).querySelector('[name=name]');
    field.previousElementSibling.hidden = true;
    field.hidden = false;
    field.select();
  },
  share: (id, button) => mtl.copy(button, new URL(row(button).dataset.link, location.href).href, 'The link to this run'),
  delete: (id, button) => {
    const name = row(button).querySelector('[name=name]').value;
    if (window.confirm(`Delete “${name}” and its checkpoints?`)) trigger('input', {action: 'delete', id});
  },
  together: () => {  // the others are drawn over the run that is shown: if that is none of them, the first one is shown
    const ids = [...chosen], lay = () => document.dispatchEvent(new CustomEvent('mtl-overlay', {detail: ids}));
    if (ids.includes(new URL(window.location).searchParams.get('run'))) { lay(); return; }
    document.addEventListener('mtl-live', function wait({detail}) {
      if (detail.run !== ids[0]) return;
      document.removeEventListener('mtl-live', wait);
      lay();
    });
    trigger('click', {id: ids[0]});
  },
  none: () => { chosen.clear(); choose(); },
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (button) acts[button.dataset.action](row(button)?.dataset.run, button);
});
element.addEventListener('change', ({target}) => {
  const id = row(target).dataset.run;
  if (target.type === 'checkbox') {
    chosen[target.checked ? 'add' : 'delete'](id);
    choose();
  } else trigger('input', {action: target.name, id, value: target.value});
});
element.addEventListener('keydown', (event) => {
  if (!isTyped(event.target) || !['Enter', 'Escape'].includes(event.key) || event.isComposing) return;
  event.preventDefault();
  if (event.key === 'Escape') event.target.value = event.target.defaultValue;
  row(event.target).querySelector('[data-action=rename]').focus();
});
element.addEventListener('focusout', ({target}) => {
  if (target.name === 'name') {
    target.hidden = true;
    target.previousElementSibling.hidden = false;
  }
  setTimeout(draw);
});
watch('value', draw);
draw();
