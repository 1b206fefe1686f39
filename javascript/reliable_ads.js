// The tab "Reliable Ads": keys for its section Label, and fresh figures while a training runs.
(() => {
  const KEYS = { 1: '1', 2: '2', 3: '3', 4: '4', 5: '5', u: 'undo', backspace: 'undo', s: 'skip' }
  const LABEL = '#reliable_ads_label_'
  const REFRESHED = ['#reliable_ads_adapt_refresh', '#reliable_ads_tune_refresh']
  const EVERY = 3000 // milliseconds

  const find = (selector) => gradioApp().querySelector(selector)
  const isSeen = (element) => Boolean(element?.offsetParent)
  const isTyping = (target) => target?.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName)

  document.addEventListener('keydown', (event) => {
    const name = KEYS[event.key.toLowerCase()]
    if (!name || event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return
    const button = find(LABEL + name)
    if (!isSeen(button)) return
    event.preventDefault()
    button.click()
  })

  // The second half of a double click would be about the next picture, and nobody labels what isn't seen yet.
  document.addEventListener(
    'click',
    (event) => {
      const button = event.target.closest?.(`[id^="${LABEL.slice(1)}"]`)
      if (!/_[1-5]$/.test(button?.id)) return
      const picture = find(`${LABEL}picture img`)
      if (event.detail > 1 || (picture && !picture.complete)) event.stopImmediatePropagation()
    },
    true
  )

  setInterval(() => {
    if (document.hidden) return
    for (const selector of REFRESHED) {
      const button = find(selector)
      if (isSeen(button)) button.click()
    }
  }, EVERY)
})()
