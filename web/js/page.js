// What the pack's widgets share: words in the user's language, elements, and style sheets.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

// English; locales/<language>/main.json translates them below "reliableAds". $name stands for a value.
const WORDS = {
  available: 'fit to publish',
  space_mismatch: 'floats or sinks',
  size_mismatch: 'wrong size',
  indistinctiveness: 'hardly stands out',
  shape_hallucination: 'grew extra parts'
}

let translated = {}
let asked

/** The whole graph, also while a subgraph is open. Older front ends have one name for it only. */
export const rootGraph = () => app.rootGraph ?? app.graph

/** Adds a widget's own English words. */
export function speak(words) {
  Object.assign(WORDS, words)
}

export function say(word, values = {}) {
  return (translated[word] ?? WORDS[word] ?? word).replace(/\$(\w+)/g, (_, name) => values[name])
}

export function element(kind, className, parent, text = '') {
  const made = document.createElement(kind)
  made.className = className
  made.textContent = text
  parent?.append(made)
  return made
}

/** Puts on a style sheet that lies beside this file, and waits for the user's language; English where none comes. */
export function dress(file) {
  Object.assign(element('link', '', document.head), { rel: 'stylesheet', href: new URL(file, import.meta.url).href })
  return (asked ??= translate().catch(() => {}))
}

async function translate() {
  const language = app.extensionManager?.setting?.get('Comfy.Locale') ?? 'en'
  const answer = await api.fetchApi('/i18n')
  translated = (answer.ok && (await answer.json())[language]?.reliableAds) || {}
}
