// The buttons below RF Label: a picture of the dataset that waits for its label, its product, and five buttons
// that say in plain words what is wrong with it.
//
// All that counts lies on the server (nodes/label_routes.py): each press names the picture that it is about, and the
// answer says what is next.
// So a reloaded page, a second tab or a server that was stopped go on where they were.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { dress, element, say, speak } from './page.js'

const NODE = 'RFLabel'
const LABELS = ['available', 'space_mismatch', 'size_mismatch', 'indistinctiveness', 'shape_hallucination']
const HEIGHT = 480
const WIDTH = 460

speak({
  label_progress: '$labelled labelled, $waiting to go',
  label_missing: 'for a useful adaptation: $more more',
  label_enough: 'enough for an adaptation',
  label_each: '$count, at least $each are needed',
  label_nothing: 'Nothing waits: run the graph to add pictures.',
  label_verdict: 'reviewer: $label $percent %',
  label_undo: 'undo',
  label_skip: 'skip',
  label_silent: 'The server does not answer. What was labelled is safe; press again once it runs.',
  label_unseen: 'This picture can not be shown: skip it.',
  label_first: 'the reviewer learns after $missing more labels',
  label_looking: 'the reviewer looks at the pictures: $unread to go',
  label_learning: 'the reviewer learns from $learned labels',
  label_agreed: 'agreed with $agreed of your last $n labels (at first $before)',
  label_more: '≈ $more more for 5 points',
  label_saturated: 'more of these hardly help',
  label_fault: 'nothing is learned: $error',
  label_bars:
    'Each bar: with how many of ten labels the reviewer agreed before it learned them. At first: the same labels, the reviewer before it learned anything. The pictures are those it is unsure of, so both are lower than on other pictures.',
  label_pair: '$first and $second: $same of $n alike',
  label_kappa: 'kappa $kappa',
  label_unnamed: 'unnamed',
  label_keys: 'Keys 1 to 5, U or Backspace: undo, S: skip; while the pointer is over this box.'
})

const BARS = '▁▂▃▄▅▆▇█'

const isTyping = (target) => target?.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName)

class Labels {
  constructor(node) {
    this.node = node
    this.mine = [] // keys that this page labelled, for undo
    this.busy = false
    this.build()
    const { signal } = (this.stop = new AbortController())
    api.addEventListener('executed', ({ detail }) => this.onExecuted(detail), { signal })
    api.addEventListener('reliable_ads.learned', ({ detail }) => this.onLearned(detail), { signal })
    api.addEventListener('reconnected', () => this.refresh(), { signal })
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh(), { signal })
  }

  build() {
    const root = (this.root = element('div', 'rf-label'))
    root.tabIndex = 0
    root.title = say('label_keys')
    this.progress = element('div', 'rf-label-line rf-label-progress', root)
    this.learning = element('div', 'rf-label-line rf-label-learning', root)
    this.learning.title = say('label_bars')
    const shown = element('div', 'rf-label-shown', root)
    this.picture = element('img', 'rf-label-picture', element('div', 'rf-label-frame', shown))
    const about = element('div', 'rf-label-about', shown)
    this.product = element('img', 'rf-label-product', about)
    this.caption = element('b', '', about)
    this.prompt = element('span', '', about)
    this.verdict = element('span', 'rf-label-verdict', about)
    const buttons = element('div', 'rf-label-buttons', root)
    this.buttons = LABELS.map((name, number) => this.button(buttons, name, `${number + 1}`, () => this.label(name)))
    const last = element('div', 'rf-label-line', root)
    this.undoButton = this.button(last, 'label_undo', 'U', () => this.undo())
    this.skipButton = this.button(last, 'label_skip', 'S', () => this.skip())
    this.message = element('span', 'rf-label-message', last)
    this.message.setAttribute('role', 'status')

    root.addEventListener('keydown', (event) => this.onKey(event))
    // Keys go where the focus is: to this box while the pointer is over it, unless the user is typing elsewhere.
    root.addEventListener('pointerenter', () => {
      if (isTyping(document.activeElement)) return
      this.before = document.activeElement
      root.focus({ preventScroll: true })
    })
    root.addEventListener('pointerleave', () => {
      if (!root.contains(document.activeElement)) return
      document.activeElement.blur()
      this.before?.focus?.({ preventScroll: true })
    })
  }

  button(parent, word, key, act) {
    const made = element('button', 'rf-label-button', parent)
    made.type = 'button'
    element('kbd', '', made, key)
    made.word = element('span', '', made, say(word))
    made.count = element('i', '', made)
    made.disabled = true
    made.addEventListener('pointerdown', (event) => event.preventDefault()) // the box keeps the focus
    made.addEventListener('click', (event) => {
      if (event.detail < 2) act() // the second half of a double click would be about the next picture
      this.root.focus({ preventScroll: true })
    })
    return made
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const key = event.key.toLowerCase()
    const undo = () => this.undo()
    const label = LABELS[key - 1]
    const act = { u: undo, backspace: undo, s: () => this.skip() }[key] ?? (label && (() => this.label(label)))
    if (!act) return
    event.preventDefault()
    event.stopPropagation() // Backspace would delete the node
    if (!event.repeat) act()
  }

  widget(name) {
    return this.node.widgets?.find((widget) => widget.name === name)
  }

  /** The dataset's name: of the widget, or where another node gives it, what the last run said. */
  get dataset() {
    const slot = this.node.findInputSlot('dataset')
    const linked = slot >= 0 && this.node.isInputConnected(slot)
    return String((linked && this.told) || this.widget('dataset')?.value)
  }

  get blind() {
    return this.widget('blind')?.value !== false
  }

  /** The reviewer that learns and orders the pictures; nothing for the shuffled order. */
  get learner() {
    const name = this.widget('learner')?.value
    return name && name !== 'off' ? { learner: name } : {}
  }

  get labeller() {
    const name = String(this.widget('labeller')?.value ?? '').trim()
    return name ? { by: name } : {}
  }

  onLearned(learning) {
    if (learning.dataset !== this.dataset || !this.state?.learning) return
    this.state.learning = learning
    this.showLearning()
  }

  onExecuted({ node, output }) {
    const [name] = output?.dataset ?? []
    if (!name) return
    if (String(node) === String(this.node.id)) this.told = name
    if (name === this.dataset) this.refresh()
  }

  /** Asks the server and shows what it answers; true where it did. Nothing that is pressed meanwhile counts. */
  async ask(path = '', body = undefined, query = {}) {
    if (this.busy) return false
    const { dataset, learner, labeller } = this
    const asked = JSON.stringify([dataset, labeller])
    if (asked !== this.asked) Object.assign(this, { asked, mine: [], state: undefined })
    const headers = { 'Content-Type': 'application/json' }
    const options = body && { method: 'POST', headers, body: JSON.stringify({ ...body, ...labeller }) }
    this.wait(true)
    let kept = false
    try {
      const parameters = new URLSearchParams({ ...query, ...learner, ...labeller, ...(!this.blind && { verdict: 1 }) })
      const route = `/reliable_ads/labels/${encodeURIComponent(dataset)}${path}`
      const answer = await api.fetchApi(`${route}?${parameters}`, options)
      const found = await answer.json()
      kept = answer.ok
      if (kept) await this.show(found)
      else this.refused(found.error)
    } catch {
      this.tell(say('label_silent'))
    }
    this.wait(false)
    if (dataset !== this.dataset) this.refresh()
    return kept
  }

  /** The page's own question, as after a reconnection: what is pressed while it is under way waits for its answer. */
  refresh() {
    if (this.busy) return this.refreshed
    const { item } = this.state ?? {}
    return (this.refreshed = this.ask('', undefined, item ? { at: item.key } : {}))
  }

  async label(label) {
    const key = this.state?.item?.key
    await this.refreshed
    if (!key || this.unseen || this.state?.item?.key !== key) return
    if (await this.ask('/label', { key, label, blind: this.blind })) this.mine.push(key)
  }

  async undo() {
    await this.refreshed
    const key = this.mine.at(-1) ?? this.state?.last
    if (key && (await this.ask('/undo', { key }))) this.mine = this.mine.filter((other) => other !== key)
  }

  async skip() {
    const key = this.state?.item?.key
    await this.refreshed
    if (key && this.state?.item?.key === key) await this.ask('', undefined, { after: key })
  }

  wait(busy) {
    this.busy = busy
    const item = this.state?.item
    for (const button of this.buttons) button.disabled = busy || !item || this.unseen
    this.undoButton.disabled = busy || !(this.mine.length || this.state?.last)
    this.skipButton.disabled = busy || !(this.state?.waiting > 1)
  }

  refused(sentence) {
    if (!this.state) this.root.classList.add('rf-label-empty')
    this.tell(sentence)
  }

  tell(text) {
    this.message.textContent = this.message.title = text
  }

  /** How the agreement with the labels grows, and between labellers. */
  showLearning() {
    const { learning, labellers, labelled } = this.state
    const name = (text) => text || say('label_unnamed')
    const pairs = labellers.slice(0, 1).map(({ names: [first, second], n, same, kappa }) => {
      const pair = say('label_pair', { first: name(first), second: name(second), same, n })
      return kappa === null ? pair : `${pair}, ${say('label_kappa', { kappa: kappa.toFixed(2) })}`
    })
    this.learning.textContent = [...(learning ? this.learned(learning, labelled) : []), ...pairs].join(' · ')
  }

  /** Parts of a line. */
  learned({ busy, error, unread, learned, rounds, recent, more, enough_to_say }, labelled) {
    const full = labelled - (labelled % 10)
    if (error) return [say('label_fault', { error })]
    const looking = unread ? [say('label_looking', { unread })] : []
    if (busy && full > learned) return [say('label_learning', { learned: full }), ...looking]
    if (!learned) return [say('label_first', { missing: 10 - (labelled % 10) }), ...looking]
    const bars = rounds.filter(([, n]) => n === 10).map(([, n, agreed]) => BARS[Math.round((7 * agreed) / n)])
    const outlook = more ? say('label_more', { more }) : say('label_saturated')
    const agreed = `${bars.slice(-20).join('')} ${say('label_agreed', recent)}`
    return [agreed, ...(enough_to_say ? [outlook] : []), ...looking]
  }

  async show(state) {
    this.state = state
    const { item, labelled, waiting, counts, enough, each } = state
    const more = Math.max(enough - labelled, ...LABELS.map((name) => each - counts[name]), 0)
    const goal = more ? say('label_missing', { more }) : say('label_enough')
    this.progress.textContent = `${say('label_progress', { labelled, waiting })} · ${goal}`
    this.showLearning()
    LABELS.forEach((name, index) => {
      const { count } = this.buttons[index]
      count.textContent = counts[name]
      count.className = counts[name] < each ? 'rf-label-few' : ''
      count.title = counts[name] < each ? say('label_each', { count: counts[name], each }) : ''
    })
    this.root.classList.toggle('rf-label-empty', !item)
    this.tell(item ? '' : say('label_nothing'))
    this.unseen = false
    if (!item) return
    this.caption.textContent = item.caption
    this.prompt.textContent = this.prompt.title = item.prompt
    const { verdict } = item
    const told = () => ({ label: say(verdict.label), percent: Math.round(100 * verdict.probability) })
    this.verdict.textContent = verdict && !this.blind ? say('label_verdict', told()) : ''
    const folder = `/reliable_ads/labels/${encodeURIComponent(this.dataset)}`
    const address = (kind, key) => api.apiURL(`${folder}/${kind}/${key}.png`)
    this.product.src = address('products', item.product)
    this.picture.src = address('pictures', item.key)
    try {
      await this.picture.decode() // nobody labels what isn't seen yet
    } catch {
      this.unseen = true
      this.tell(say('label_unseen'))
    }
  }
}

function chain(target, name, also) {
  const before = target[name]
  target[name] = function () {
    const result = before?.apply(this, arguments)
    also()
    return result
  }
}

app.registerExtension({
  name: 'reliable_ads.label',
  setup: () => dress('label.css'),
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return
    const labels = (node.rfLabels = new Labels(node))
    const options = { serialize: false, hideOnZoom: false, selectOn: ['click'], getMinHeight: () => HEIGHT }
    const widget = node.addDOMWidget('labels', 'rf_label', labels.root, options)
    widget.serialize = false // neither in the saved graph nor in the prompt
    for (const name of ['dataset', 'blind', 'learner', 'labeller']) {
      const changed = labels.widget(name)
      if (changed) chain(changed, 'callback', () => labels.refresh())
    }
    chain(node, 'onRemoved', () => labels.stop.abort())
    node.setSize([Math.max(WIDTH, node.size[0]), node.computeSize()[1]])
    setTimeout(() => labels.refresh()) // once a saved graph has set the dataset's name
  }
})
