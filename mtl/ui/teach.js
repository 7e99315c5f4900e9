// A person corrects the model: an editor for one answer, by mouse or keyboard, and the set of corrections, which this browser keeps. The
// editor stands outside the answer, which is drawn again and again. Offsets count characters, as Python does, not UTF-16.
const KEY = 'mtl-corrections', MOST = 200, FEW = 12;
const editor = element.querySelector('.mtl-editor'), mine = element.querySelector('.mtl-mine');
const said = element.querySelector('[role=status]'), learn = mine.querySelector('[data-do=learn]');
let inMemory = null;  // if the browser keeps nothing
let opener = 0;  // which answer's button opened the editor

const make = (tag, settings = {}, ...parts) => {
  const node = Object.assign(document.createElement(tag), settings);
  for (const [name, value] of Object.entries(settings)) if (name.startsWith('aria-') || name === 'role') node.setAttribute(name, value);
  node.append(...parts);
  return node;
};
const button = (text, act, className = 'mtl-ghost') => make('button', {type: 'button', className, onclick: act}, text);
const name = (text) => make('bdi', {}, text);
const say = (text) => { said.textContent = ''; setTimeout(() => { said.textContent = text; }, 50); };
const isOne = (one) => one && typeof one.text === 'string' && one.values && one.how;

const read = () => {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return inMemory ?? (Array.isArray(kept) ? kept.filter(isOne) : []);
  } catch {
    return inMemory ?? [];
  }
};
const write = (set) => {
  try {
    localStorage.setItem(KEY, JSON.stringify(set));
  } catch {
    inMemory = set;
  }
  list();
};
const lines = () => read().map(({text, values}) => JSON.stringify({text, ...values}) + '\n').join('');

// The editor

const cut = (text, {start, end}) => Array.from(text).slice(start, end).join('');
const close = (heir) => {
  editor.hidden = true;
  editor.replaceChildren();
  (heir ?? document.querySelectorAll('#answer [data-teach]')[opener])?.focus();
};
const save = (about, value) => {
  const set = read(), old = set.find((one) => one.text === about.text), one = old ?? {text: about.text, values: {}, how: {}};
  if (!old && set.length >= MOST) return say(`There are ${MOST} corrections, which is all that can be learned at once. Delete some.`);
  const {text, value: before, ...how} = about;
  one.values[about.task] = value;
  one.how[about.task] = how;
  write(old ? set : [...set, one]);
  close(learn);
  say('Saved to your corrections.');
};

const open = (about) => {
  const [body, value, focus] = (about.edits === 'spans' ? spans : about.edits === 'number' ? number : classes)(about);
  editor.style.setProperty('--c', `var(--task-${about.hue})`);
  editor.replaceChildren(
    make('h2', {}, 'Correct ', name(about.task)), body,
    make('div', {className: 'mtl-bar'},
      button('Save the correction', () => { const made = value(); if (made !== undefined) save(about, made); }),
      button('Cancel', () => close(), 'mtl-link')));
  editor.hidden = false;
  focus.focus();
};

const number = (about) => {
  const box = make('input', {type: 'number', step: 'any', value: about.value, 'aria-label': about.task});
  return [make('p', {dir: 'auto'}, about.text, ' ', box), () => {
    if (Number.isFinite(box.valueAsNumber)) return box.valueAsNumber;
    say('Type a number.');
    box.focus();
  }, box];
};

const classes = (about) => {
  const isMany = about.edits === 'many', chosen = [about.value].flat();
  const boxes = about.labels.map((label) => make('input', {
    type: isMany ? 'checkbox' : 'radio', name: 'mtl-class', value: label, checked: chosen.includes(label)}));
  const group = make('fieldset', {className: 'mtl-options'}, make('legend', {}, isMany ? 'Which labels are right?' : 'Which one is right?'),
    ...boxes.map((box) => make('label', {}, box, name(box.value))));
  return [make('div', {}, make('p', {dir: 'auto'}, about.text), group), () => {
    const made = boxes.filter((box) => box.checked).map((box) => box.value);
    return isMany ? made : made[0];
  }, boxes.find((box) => box.checked) ?? boxes[0]];
};

// Entities: the words are a list of options, of which some are selected. Arrows move, with Shift they select; a label is given by its
// number, by its button or in a menu; Delete takes it away.
const spans = (about) => {
  const {text, labels, words} = about, colour = (label) => `var(--type-${1 + labels.indexOf(label) % 10})`;
  let found = about.value.map((one) => ({...one})), at = 0, from = 0, isDragged = false;
  const box = make('div', {className: 'mtl-words', role: 'listbox', tabIndex: 0, dir: 'auto', 'aria-multiselectable': 'true',
    'aria-label': 'Words. Arrows move, Shift and arrows select, a number gives a label, Delete takes it away'});
  const within = (word) => found.find(({start, end}) => start <= words[word][0] && words[word][1] <= end);
  const range = () => [Math.min(at, from), Math.max(at, from)];
  const options = words.map(([start, end], index) => make('span', {role: 'option', id: `mtl-word-${index}`},
    make('span', {}, cut(text, {start, end}))));
  let last = 0;
  words.forEach(([start, end], index) => {
    box.append(cut(text, {start: last, end: start}), options[index]);
    last = end;
  });
  box.append(cut(text, {start: last, end: Infinity}));

  const draw = () => {
    const [low, high] = range();
    options.forEach((option, index) => {
      const one = within(index), isLast = one && words[index][1] === one.end;
      option.setAttribute('aria-selected', low <= index && index <= high);
      option.setAttribute('aria-label', option.firstChild.textContent + (one ? `, ${one.label}` : ''));
      option.className = one ? 'mtl-in' : '';
      option.style.setProperty('--c', one ? colour(one.label) : '');
      option.querySelector('sub')?.remove();
      if (isLast) option.append(make('sub', {}, name(one.label)));
    });
    box.setAttribute('aria-activedescendant', options[at]?.id ?? '');
  };
  const give = (label) => {
    let [low, high] = range();
    const one = within(low);
    let [start, end] = [words[low][0], words[high][1]];
    if (one && low === high) ({start, end} = one);  // one word of an entity stands for all of it
    found = found.filter((other) => other.end <= start || end <= other.start);
    if (label) found.push({start, end, label});
    found.sort((one, other) => one.start - other.start);
    draw();
    say(`${cut(text, {start, end})}: ${label || 'no entity'}`);
  };
  const moves = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -words.length, End: words.length};
  box.addEventListener('keydown', (event) => {
    const label = labels[Number(event.key) - 1];
    if (event.ctrlKey || event.metaKey || event.altKey || !words.length) return;
    if (event.key in moves) {
      at = Math.max(0, Math.min(words.length - 1, at + moves[event.key]));
      if (!event.shiftKey) from = at;
      draw();
    } else if (label && event.key !== '0') give(label);
    else if (['Delete', 'Backspace'].includes(event.key)) give('');
    else return;
    event.preventDefault();
  });
  const wordAt = ({clientX, clientY}) => options.indexOf(document.elementFromPoint(clientX, clientY)?.closest('[role=option]'));
  box.addEventListener('pointerdown', (event) => {
    const word = wordAt(event);
    if (word < 0) return;
    at = word;
    if (!event.shiftKey) from = word;
    isDragged = true;
    draw();
  });
  box.addEventListener('pointermove', (event) => {
    const word = isDragged ? wordAt(event) : -1;
    if (word < 0 || word === at) return;
    at = word;
    draw();
  });
  for (const end of ['pointerup', 'pointercancel', 'pointerleave']) box.addEventListener(end, () => { isDragged = false; });
  const menu = labels.length > FEW && make('select', {'aria-label': 'Label'}, ...labels.map((label) => make('option', {value: label}, label)));
  const choices = menu ? [menu, button('Give this label', () => give(menu.value))] : labels.map((label, index) => {
    const one = button('', () => give(label), 'mtl-ghost mtl-label');
    one.append(name(label), ...index < 9 ? [make('kbd', {}, String(index + 1))] : []);
    one.style.setProperty('--c', colour(label));
    return one;
  });
  draw();
  return [make('div', {}, make('p', {className: 'mtl-hint'}, 'Select words with the mouse, or with the arrows and Shift. Then choose what they are.'),
    box, make('div', {className: 'mtl-bar'}, ...choices, button('No entity', () => give('')))),
  () => found.map(({start, end, label}) => ({start, end, label})), box];
};
editor.addEventListener('keydown', (event) => { if (event.key === 'Escape') close(); });

// The set

const told = ({text}, value) => Array.isArray(value)
  ? value.map((part) => part.label ? `${cut(text, part)} = ${part.label}` : part).join('; ') || 'nothing' : String(value);

const list = () => {
  const set = read();
  mine.hidden = !set.length;
  mine.querySelector('small').textContent = `${set.length} ${set.length === 1 ? 'sentence' : 'sentences'}, kept in this browser`;
  mine.querySelector('ul').replaceChildren(...set.map((one, place) => make('li', {},
    make('span', {dir: 'auto'}, one.text),
    ...Object.entries(one.values).map(([task, value]) => {
      const edit = button('', () => open({...one.how[task], text: one.text, task, value}), 'mtl-link');
      edit.append('Edit ', name(task));
      return make('small', {}, name(task), ': ', name(told(one, value)), ' ', edit);
    }),
    button('Delete', () => {
      write(read().filter((other) => other.text !== one.text));
      (mine.querySelectorAll('li > button')[Math.min(place, set.length - 2)] ?? document.querySelector('#answer [data-teach]'))?.focus();
      say('Deleted.');
    }, 'mtl-link'))));
};

const acts = {
  learn: () => {
    learn.disabled = true;
    learn.textContent = 'Preparing \u2026';
    trigger('input', {rows: lines()});
  },
  download: () => {
    const address = URL.createObjectURL(new Blob([lines()], {type: 'application/jsonl'}));
    make('a', {href: address, download: 'corrections.jsonl'}).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  },
  clear: () => {
    if (confirm('Delete all your corrections? Download them first if you want to keep them.')) write([]);
  },
};
mine.addEventListener('click', ({target}) => acts[target.dataset.do]?.());
element.closest('#teach').addEventListener('done', () => {
  learn.disabled = false;
  learn.textContent = 'Learn from these';
});
element.closest('#teach').addEventListener('say', ({detail}) => say(detail));
const correct = ({target}) => {
  if (!element.isConnected) return document.removeEventListener('click', correct);
  const pressed = target.closest('#answer [data-teach]');
  if (!pressed) return;
  opener = [...document.querySelectorAll('#answer [data-teach]')].indexOf(pressed);
  open(JSON.parse(pressed.dataset.teach));
};
document.addEventListener('click', correct);
const follow = ({key}) => {  // another tab of this browser
  if (!element.isConnected) return window.removeEventListener('storage', follow);
  if (key === KEY || key === null) list();
};
window.addEventListener('storage', follow);
list();
