// The strip of verdicts in the cyclic samplers and RF Review: each picture's thumbnail, ✓ or ✗, and why, in words.
//
// While a node runs, the server sends `reliable_ads.verdicts` events with one verdict each. When it has run, or its
// result comes from the cache or the queue's history, the whole strip lies in the node's outputs. nodes/strip.py says
// what is in them.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { dress, element, rootGraph, say, speak } from './page.js'

const NODES = ['RFCyclicSampler', 'RFCyclicSamplerAdvanced', 'RFReview']
const EVENT = 'reliable_ads.verdicts'
const KEY = 'reliable_ads'
const WIDGET = 'verdicts'

speak({
  unsure: 'not sure enough',
  missing: 'product is missing',
  unfamiliar: 'unfamiliar picture: label a few',
  error: 'no picture',
  dropped: 'stopped early: $verdict',
  decided: '$verdict, says $opinion',
  contact: 'contact',
  own_label: 'own label',
  expansion: 'expansion',
  language: 'language model',
  server: 'server',
  size: 'size',
  heat: 'heat: $defect',
  click: 'Click for the heat map.',
  attempts: 'attempts',
  drawing: 'drawing attempt $number of $most',
  one: '$count of $most, accepted, seed $seed',
  several: '$count of $most, $accepted accepted, seeds $seeds',
  none: '$count of $most, none accepted',
  fallback: '$count of $most, none accepted; given back: $result, seed $seed',
  sorted: '$accepted of $count accepted',
  batch: '$pictures pictures, $count attempts, $accepted accepted',
  batch_given: '$pictures pictures, $count attempts, $accepted accepted; given back: $results',
  batch_drawing: 'picture $picture of $pictures: drawing attempt $number of $most',
  batch_tile: 'picture $picture: $verdict',
  uncertified: 'not certified for this painter',
  unknown_painter: 'painter unknown, so not certified'
})

// As verdicts.css has them: the canvas has to be told how high a widget is.
const TILE = { width: 96, height: 128, gap: 6 }
const MARGIN = 10
const LINE = 18
const ROWS = 2 // more are scrolled to

function verdict({ label, probability, accepted, dropped, decided, unfamiliar }) {
  if (!label) return say('error')
  if (unfamiliar && !dropped && label !== 'missing') return say('unfamiliar')
  const share = probability == null ? '' : ` ${Math.round(100 * probability)}\u00a0%`
  const said = say(label === 'available' && !accepted ? 'unsure' : label) + share
  if (decided) return say('decided', { verdict: said, opinion: say(decided) })
  return dropped ? say('dropped', { verdict: said }) : said
}

/** Of a latent batch, whose pictures have a loop each. */
function batchHeadline({ rows, most, pictures, drawing, results, running }) {
  const number = rows.filter((row) => row.of === drawing).length + 1
  if (running) return say('batch_drawing', { picture: drawing, pictures, number: Math.min(number, most), most })
  const accepted = rows.filter((row) => row.accepted).length
  const values = { pictures, count: rows.length, accepted, results: results?.join(', ') }
  return say(results?.length ? 'batch_given' : 'batch', values)
}

function headline(strip) {
  const { rows, most, results, running, pictures } = strip
  if (pictures > 1) return batchHeadline(strip)
  const accepted = rows.filter((row) => row.accepted)
  const seeds = accepted.map((row) => row.seed)
  const count = rows.length
  const [seed] = seeds
  const values = { count, most: Math.max(most ?? 0, count), accepted: accepted.length, seed, seeds: seeds.join(', ') }
  if (!most) return say('sorted', values)
  if (running && !accepted.length && rows.length < most) return say('drawing', { number: rows.length + 1, most })
  if (accepted.length) return say(accepted.length === 1 ? 'one' : 'several', values)
  const given = rows.find((row) => row.number === results?.[0])
  return given ? say('fallback', { ...values, result: given.number, seed: given.seed }) : say('none', values)
}

/** Where a certified risk decides that doesn't hold here: why. nodes/strip.py says what `certified` is. */
function doubt({ certified }) {
  if (certified === undefined || certified === true) return ''
  return say(certified === false ? 'uncertified' : 'unknown_painter')
}

/** A picture's address: sent as data while the node runs, a file of the server's afterwards. */
function address(picture) {
  return typeof picture === 'string' ? picture : api.apiURL(`/view?${new URLSearchParams(picture)}`)
}

function tile(row, parent, pictures) {
  const made = element('figure', `rf-tile ${row.accepted ? 'rf-good' : 'rf-bad'}`, parent)
  const image = element('img', '', made)
  const of = pictures > 1 ? ` · ${row.of}/${pictures}` : ''
  element('b', '', made, `${row.accepted ? '✓' : '✗'} ${row.number}${of}`)
  const caption = element('figcaption', '', made)
  const words = verdict(row)
  const told = pictures > 1 ? say('batch_tile', { picture: row.of, verdict: words }) : words
  const show = (picture, text) => {
    if (picture) image.src = address(picture)
    caption.textContent = text
  }
  image.alt = `${row.number}: ${words}`
  made.title = row.seed ? `${told}, seed ${row.seed}` : told
  show(row.picture, words)
  if (!row.heat) return
  made.title += `\n${say('click')}`
  made.addEventListener('click', () => {
    const hot = made.classList.toggle('rf-hot')
    show(hot ? row.heat : row.picture, hot ? say('heat', { defect: say(row.defect) }) : words)
  })
}

/** An empty strip, from the start: Vue nodes may miss widgets that come later. */
function addStrip(node) {
  const height = () => heightOf(widget.strip, node.size[0])
  const options = { serialize: false, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height }
  const widget = node.addDOMWidget(WIDGET, 'rf_verdicts', element('div', 'rf-verdicts'), options)
  widget.serialize = false // neither in the saved graph nor in the prompt
  widget.label = say('attempts') // its name in app mode's form
}

const running = new Set() // nodes whose strip says what is being drawn

const widgetOf = (node) => node.widgets.find(({ name }) => name === WIDGET)

function paint(node, strip) {
  const widget = widgetOf(node)
  widget.strip = strip
  widget.element.replaceChildren()
  if (strip.product) element('div', 'rf-line', widget.element, strip.product).title = strip.product
  const line = element('div', 'rf-line rf-result', widget.element, headline(strip))
  line.title = line.textContent
  if (doubt(strip)) element('div', 'rf-line', widget.element, doubt(strip)).title = doubt(strip)
  const tiles = element('div', 'rf-tiles', widget.element)
  for (const row of strip.rows) tile(row, tiles, strip.pictures)
  tiles.scrollTop = tiles.scrollHeight
  node.graph?.setDirtyCanvas(true, true)
}

function heightOf(strip, width) {
  if (!strip) return 0
  const columns = Math.max(1, Math.floor((width - 2 * MARGIN + TILE.gap) / (TILE.width + TILE.gap)))
  const rows = Math.min(ROWS, Math.ceil(strip.rows.length / columns))
  return 2 * MARGIN + LINE * (1 + Boolean(strip.product) + Boolean(doubt(strip))) + rows * (TILE.height + TILE.gap)
}

/** The node of an execution id such as "5", or "12:5" in a subgraph, if it is one of ours. */
function nodeOf(id) {
  let graph = rootGraph()
  let node
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return NODES.includes(node?.comfyClass) ? node : undefined
}

/** Nothing is drawn any more: a run was stopped, or failed. */
function stop() {
  for (const node of running) paint(node, { ...widgetOf(node).strip, running: false })
  running.clear()
}

/** The last live preview would lie over the finished pictures until the next run. */
function endPreview(node) {
  const id = node.graph.isRootGraph === false ? `${node.graph.id}:${node.id}` : node.id
  // Vue nodes look here; other front ends have no such store
  const reactive = app.extensionManager?._p?._s?.get('nodeOutput')?.nodePreviewImages
  for (const previews of [app.nodePreviewImages, reactive]) if (previews) delete previews[id]
}

/** Strips of outputs that no event tells of: a workflow that is opened from the history, undone, or looked at again. */
function restore() {
  for (const [id, output] of Object.entries(app.nodeOutputs ?? {})) {
    const node = output?.[KEY] && nodeOf(id)
    if (node) paint(node, output[KEY].at(-1))
  }
}

app.registerExtension({
  name: 'reliable_ads.verdicts',
  setup() {
    dress('verdicts.css')
    api.addEventListener(EVENT, ({ detail: { node: id, rows, ...about } }) => {
      const node = nodeOf(id)
      if (!node) return
      const begins = !rows.length && !(about.drawing > 1) // later pictures of a batch go on
      const before = (!begins && widgetOf(node).strip?.rows) || []
      running.add(node)
      paint(node, { ...about, rows: [...before, ...rows], running: true })
    })
    for (const end of ['execution_interrupted', 'execution_error']) api.addEventListener(end, stop)
  },
  nodeCreated(node) {
    if (!NODES.includes(node.comfyClass)) return
    addStrip(node)
    const { onExecuted } = node
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments)
      running.delete(this)
      if (output?.[KEY]?.length) paint(this, output[KEY].at(-1))
      endPreview(this)
    }
  },
  afterConfigureGraph: restore,
  onNodeOutputsUpdated: restore
})
