// What holds comes from the live feed; what a person sets is sent a moment later, and shown until it holds or is refused.
const FACTORS = [0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4], PAUSE = 400;
const part = (selector) => element.querySelector(selector), rows = part('.mtl-factors'), fields = part('fieldset');
const nearest = (factor) => FACTORS.reduce((best, one, place) => (Math.abs(one - factor) < Math.abs(FACTORS[best] - factor) ? place : best), 0);
const say = (factor) => `\u00d7 ${Number(factor.toPrecision(3))}`;
const write = (place, text) => { if (place.textContent !== text) place.textContent = text; };
let run = '', holds = null, drawn = '', timer = 0, set = new Map(), sent = new Map();  // by the name of a control: the value set; what held then

// [name of the control, value that holds]
const values = () => (holds ? [...holds.tasks.map(([task, , factor]) => [`task ${task}`, factor]), ['rate', holds.rate], ['frozen', holds.frozen]] : []);
const held = (name) => values().find(([one]) => one === name)?.[1];
const send = () => {
  const wanted = {weights: {}};
  for (const [name, value] of set) {
    if (sent.has(name) && sent.get(name).value === value || value === held(name)) continue;
    sent.set(name, {value, before: held(name)});
    if (name.startsWith('task ')) wanted.weights[name.slice(5)] = value;
    else wanted[name] = value;
  }
  if (Object.keys(wanted).length > 1 || Object.keys(wanted.weights).length) trigger('input', {wanted: JSON.stringify(wanted)});
};
const order = (wanted) => trigger('input', {wanted: JSON.stringify(wanted)});
const row = (name, shown, colour) => {
  const label = document.createElement('label'), text = document.createElement('span'), bdi = document.createElement('bdi');
  const range = Object.assign(document.createElement('input'), {type: 'range', min: 0, max: FACTORS.length - 1, step: 1, name});
  const output = document.createElement('output');
  bdi.textContent = shown;
  text.append(bdi);
  if (colour) label.style.setProperty('--c', `var(--task-${colour})`);
  label.append(text, range, output);
  return label;
};
const draw = () => {
  const why = props.value ?? '';
  write(part('[data-part=why]'), why);
  write(part('[data-part=said]'), holds?.said ?? '');
  fields.disabled = Boolean(why) || !holds;
  if (!holds) return;
  const key = JSON.stringify(holds.tasks.map(([task]) => task));
  if (drawn !== key) {
    drawn = key;
    rows.replaceChildren(...holds.tasks.map(([task, shown], place) => row(`task ${task}`, `Weight of ${shown}`, place % 8 + 1)), row('rate', 'Learning rate'));
  }
  for (const [name, value] of values()) {
    const past = sent.get(name);
    if (past && (past.value === value || past.before !== value)) {  // it holds, or somebody set another one
      sent.delete(name);
      if (set.get(name) === past.value) set.delete(name);
    }
    const shown = set.get(name) ?? value, input = [...fields.elements].find((one) => one.name === name);
    if (name === 'frozen') {
      input.checked = shown;
      input.disabled = !holds.can_freeze;
      continue;
    }
    input.value = nearest(shown);
    input.setAttribute('aria-valuetext', `${Number(shown.toPrecision(3))} times`);
    write(input.nextElementSibling, say(shown));
  }
  part('[name=stop]').setAttribute('aria-pressed', String(holds.stop));
};
element.addEventListener('input', ({target}) => {
  set.set(target.name, target.type === 'checkbox' ? target.checked : FACTORS[target.value]);
  draw();
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE);
});
element.addEventListener('click', ({target}) => {
  const orders = {evaluate: () => order({evaluate: true}), save: () => order({save: true}), stop: () => order({stop: !holds.stop})};
  if (target.type === 'button') orders[target.name]?.();
});
document.addEventListener('mtl-steer-refused', () => { set.clear(); sent.clear(); draw(); });
mtl.live.listen((now) => {
  if (now.run !== run) { set.clear(); sent.clear(); run = now.run; }
  holds = now.state?.steering ?? null;
  draw();
});
watch('value', draw);
draw();
