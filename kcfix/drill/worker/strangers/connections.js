'use strict';

// A program that opens a connection for each thing it does and closes none, as payment-service's pools (mode 24).
const { Client } = require('pg');

const kept = [];

async function open() {
  const client = new Client({ connectionString: process.env.POSTGRES_URL, application_name: 'report-job' });
  client.on('error', () => undefined);
  await client.connect();
  kept.push(client);
}

async function main() {
  for (;;) {
    try {
      await open();
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

process.on('SIGTERM', () => process.exit(0));
main();
