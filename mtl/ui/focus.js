() => {
  // A pressed button that can no longer be pressed loses the focus: it goes to the button that now takes its place, else to what is said of
  // the run, and nowhere if the person has moved on meanwhile.
  const next = {pause: ['resume', 'status'], resume: ['pause', 'status'], stop: ['resume', 'status'], delete: ['status'],
    'compare-resume': ['compare-stop', 'compare-state'], 'compare-stop': ['compare-resume', 'compare-state'],
    'compare-delete': ['compare-state'], 'measure-test': ['scores']};
  let last = null;
  document.addEventListener('focusin', (event) => { last = event.target; });
  document.addEventListener('focusout', (event) => { if (!event.target.disabled) last = null; });
  new MutationObserver(() => setTimeout(() => {
    if (!last?.disabled || ![null, document.body, last].includes(document.activeElement)) return;
    const heir = (next[last.id] ?? []).map((id) => document.getElementById(id)).find((part) => part && !part.disabled);
    if (!heir) return;
    if (heir.tagName !== 'BUTTON') heir.tabIndex = -1;
    heir.focus();
  })).observe(document.body, {subtree: true, attributeFilter: ['disabled']});
}
