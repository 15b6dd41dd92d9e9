// Use openapi-fetch with the types that openapi-typescript makes.
import { equal, ok } from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { paths } from './client';

const client = createClient<paths>({ baseUrl: process.argv[2] });

async function main() {
  const films = await client.GET('/films', {
    params: { query: { sort: ['-Year', 'Name'] } },
  });
  ok(films.response.url.endsWith('?sort=-Year&sort=Name'));
  equal(films.data?.['2'].Name, 'Ant Man and the Wasp');

  const refused = await client.POST('/token', {
    body: { username: 'USERNAME', password: 'wrong' },
  });
  equal(refused.error?.message, 'username or password is not correct');

  const token = await client.POST('/token', {
    body: { username: 'USERNAME', password: 'PASSWORD' },
  });
  ok(token.data);
  const headers = { Authorization: `Bearer ${token.data.access_token}` };
  const body = { code: 'FETCH', name: 'Clients', instructor: 'Ada Lovelace' };

  const course = await client.POST('/courses', { headers, body });
  equal(course.response.status, 201);
  equal(course.response.headers.get('Location'), '/courses/FETCH');

  const again = await client.POST('/courses', { headers, body });
  ok(again.error && 'error' in again.error);
  equal(again.error.error, 'This course code is in use');
}

main();
