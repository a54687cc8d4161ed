import { render } from 'preact'
import './style.css'

render(<main><h1>Gotong</h1><p><a href="/docs">API</a></p></main>, document.getElementById('app')!)
