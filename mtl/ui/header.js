// The run that is shown, by the feed of live.js; its link; light or dark, which this browser remembers.
const [about, now, copy, theme, progress] = ['.mtl-tagline', '.mtl-now', '.mtl-copy', '.mtl-theme', 'progress'].map((part) => element.querySelector(part));
const dark = () => document.body.classList.contains('dark');
const chosen = localStorage.getItem('mtl-theme');
if (chosen && !new URL(window.location).searchParams.has('__theme')) document.body.classList.toggle('dark', chosen === 'dark');
theme.addEventListener('click', () => {
  document.body.classList.toggle('dark');
  localStorage.setItem('mtl-theme', dark() ? 'dark' : 'light');
});
copy.addEventListener('click', () => mtl.copy(copy, document.querySelector('#link textarea, #link input').value, 'The link to this run'));
const show = (run) => {
  now.hidden = copy.disabled = !run;
  about.hidden = !!run;
  document.getElementById('train')?.toggleAttribute('data-shown', !!run);
  if (!run) { progress.value = 0; return; }
  const facts = [run.state, run.facts.find((fact) => fact.startsWith('step ')), run.facts.find((fact) => fact.endsWith(' left'))];
  now.dataset.state = run.state;
  now.querySelector('b').textContent = run.name.slice(0, run.name.lastIndexOf(', '));  // without its date
  now.title = run.name;
  now.querySelector('span').textContent = facts.filter(Boolean).join(' · ');
  progress.value = run.share;
};
mtl.live.listen(({state}) => show(state));
