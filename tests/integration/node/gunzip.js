// Inflates one gzip file to standard output: node gunzip.js FILE
'use strict';
const fs = require('fs');
const zlib = require('zlib');
fs.writeSync(1, zlib.gunzipSync(fs.readFileSync(process.argv[2])));
