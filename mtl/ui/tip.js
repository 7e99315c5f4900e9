// What has `data-tip` shows it while it is pointed at or has the focus, until Escape. Whoever hears the page finds the same in its text.
(() => {
  const GAP = 6, EDGE = 8;  // pixels
  const tip = Object.assign(document.createElement('div'), {className: 'mtl-tip', hidden: true});
  tip.setAttribute('aria-hidden', 'true');
  const hide = () => { tip.hidden = true; };
  const show = ({target}) => {
    const part = target.closest?.('[data-tip]');
    if (!part) { if (!tip.contains(target)) hide(); return; }
    document.body.append(tip);
    tip.textContent = part.dataset.tip;
    tip.hidden = false;
    const [first] = part.getClientRects(), {width, height} = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(EDGE, Math.min(first.left, window.innerWidth - width - EDGE))}px`;
    tip.style.top = `${first.top > height + GAP ? first.top - height - GAP : part.getBoundingClientRect().bottom + GAP}px`;
  };
  for (const event of ['pointerover', 'focusin']) document.addEventListener(event, show);
  document.addEventListener('focusout', hide);
  document.addEventListener('scroll', hide, true);
  document.addEventListener('keydown', ({key}) => { if (key === 'Escape') hide(); });
})();
