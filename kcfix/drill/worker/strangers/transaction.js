'use strict';

// Somebody's report that opens a transaction, takes what it needs and never ends.
const { Client } = require('pg');

async function main() {
  const client = new Client({ connectionString: process.env.POSTGRES_URL, application_name: 'report-job' });
  await client.connect();
  await client.query('BEGIN');
  await client.query(process.env.STATEMENT);
  console.log('report started');
}

process.on('SIGTERM', () => process.exit(0));
main();
