// Takes the picture that lies beside a workflow: opens it in the real web page of a running ComfyUI, runs it if asked, and shoots it.
//
//   npm install playwright-core            (and a Chromium, as `chromium` on the PATH or in CHROMIUM)
//   python dev.py serve                    (prints ADDRESS)
//   node devtools/workflow_picture.mjs http://ADDRESS workflows/pocket_demo.json workflows/pocket_demo.jpg [--run]
//
// To look at the nodes themselves: --vue draws them the new way, --light in the light theme, --width=1920 in a larger window,
// --node="Draw until accepted" shows that node from near. A picture whose name ends with .png is one.
import fs from 'node:fs'
import { chromium } from 'playwright-core'

const [base, workflow, picture, ...flags] = process.argv.slice(2)
const option = (name) => flags.find((flag) => flag.startsWith(`--${name}=`))?.split('=')[1]
const width = Number(option('width') ?? 1600)
const settings = {
  'Comfy.TutorialCompleted': true, 'Comfy.Workflow.Persist': false, 'Comfy.Notification.ShowVersionUpdates': false, 'Comfy.Minimap.Visible': false,
  'Comfy.Graph.CanvasInfo': false, 'Comfy.EnableTooltips': false, 'LiteGraph.Canvas.MinFontSizeForLOD': 0,
  'Comfy.VueNodes.Enabled': flags.includes('--vue'), 'Comfy.ColorPalette': flags.includes('--light') ? 'light' : 'dark'
}
await fetch(`${base}/settings`, { method: 'POST', body: JSON.stringify(settings) })

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
})
const context = await browser.newContext({ viewport: { width, height: Math.round(width * 9 / 16) } })
await context.addInitScript(() => localStorage.setItem('vueNodesBannerDismissed', 'true'))
// nothing but the server is asked for anything
await context.route('**/*', (route) => {
  const { hostname, protocol } = new URL(route.request().url())
  return ['127.0.0.1', 'localhost'].includes(hostname) || ['data:', 'blob:'].includes(protocol) ? route.continue() : route.abort()
})
const page = await context.newPage()
const errors = []
page.on('pageerror', (error) => errors.push(String(error).slice(0, 300)))
await page.goto(base, { waitUntil: 'domcontentloaded', timeout: 180000 })
await page.waitForFunction(() => window.app?.graph && window.app?.extensionManager && document.querySelector('#graph-canvas') && !document.querySelector('.p-progressspinner'), null, { timeout: 180000 })
await page.evaluate(async (text) => { await window.app.loadGraphData(JSON.parse(text), true, true, 'workflow') }, fs.readFileSync(workflow, 'utf8'))
const fit = () => page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView'))
await fit() // pictures are fetched only for nodes that get drawn

if (flags.includes('--run')) {
  await page.evaluate(() => {
    window.__end = new Promise((resolve) => {
      for (const name of ['execution_success', 'execution_error', 'execution_interrupted']) window.app.api.addEventListener(name, (e) => resolve([name, e.detail]))
    })
    window.app.queuePrompt(0)
  })
  const [how, detail] = await page.evaluate(() => Promise.race([window.__end, new Promise((r) => setTimeout(() => r(['no end within ten minutes']), 600000))]))
  console.log(how, how === 'execution_success' ? '' : JSON.stringify(detail).slice(0, 400))
  await page.waitForTimeout(2500)
}
const near = option('node')
if (near) await page.evaluate((title) => window.app.canvas.selectNode(window.app.graph._nodes.find((node) => node.title === title)), near)
await fit() // of what is selected, or of everything
// Vue nodes take their places one by one
await page.evaluate(async () => {
  const places = () => JSON.stringify([...document.querySelectorAll('[data-node-id]')].map((node) => node.getBoundingClientRect()))
  for (let before; before !== places(); await new Promise((resolve) => setTimeout(resolve, 1500))) before = places()
})
await page.screenshot({ path: picture, ...(picture.endsWith('.png') ? {} : { type: 'jpeg', quality: 85 }) })
console.log(picture, await page.evaluate(() => window.app.graph._nodes.map((n) => `${n.type}${n.imgs?.length ? `(${n.imgs.length} pictures)` : ''}`).join(', ')))
console.log('page errors:', errors.length, errors.join('\n'))
await browser.close()
