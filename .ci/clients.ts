// Use the clients that clients.py makes: node clients.js URL USERNAME PASSWORD
import { equal, ok, rejects } from 'node:assert/strict';
import createClient from 'openapi-fetch';
import { createCourse, createToken, listFilms } from './hey_api';
import { client as heyApi } from './hey_api/client.gen';
import type { paths } from './openapi_typescript';
import { Api } from './swagger_typescript_api';

const [baseUrl, username, password] = process.argv.slice(2);
const account = { username, password };
const wrong = { username, password: 'wrong' };
const refusal = 'username or password is not correct';
const query = { sort: ['-Year', 'Name'], limit: 1 };
const course = { name: 'Clients', instructor: 'Ada Lovelace' };
const conflict = 'This course code is in use';

// What @hey-api/openapi-ts makes.
async function useHeyApi() {
  heyApi.setConfig({ baseUrl });
  const films = await listFilms({ query });
  equal(films.data?.['2'].Name, 'Ant Man and the Wasp');
  const refused = await createToken({ body: wrong });
  equal(refused.error?.message, refusal);

  const token = await createToken({ body: account });
  heyApi.setConfig({ auth: token.data?.access_token });
  const body = { ...course, code: 'HEY' };
  const answer = await createCourse({ body });
  equal(answer.response?.headers.get('Location'), '/courses/HEY');
  const again = await createCourse({ body });
  ok(again.error && 'error' in again.error);
  equal(again.error.error, conflict);
}

// openapi-fetch, with the types that openapi-typescript makes.
async function useOpenapiFetch() {
  const client = createClient<paths>({ baseUrl });
  const films = await client.GET('/films', { params: { query } });
  equal(films.data?.['2'].Name, 'Ant Man and the Wasp');
  const refused = await client.POST('/token', { body: wrong });
  equal(refused.error?.message, refusal);

  const token = await client.POST('/token', { body: account });
  const headers = { Authorization: `Bearer ${token.data?.access_token}` };
  const body = { ...course, code: 'FETCH' };
  const answer = await client.POST('/courses', { headers, body });
  equal(answer.response.headers.get('Location'), '/courses/FETCH');
  const again = await client.POST('/courses', { headers, body });
  ok(again.error && 'error' in again.error);
  equal(again.error.error, conflict);
}

// What swagger-typescript-api makes. It throws the answer if that is an error.
async function useSwaggerTypescriptApi() {
  const client = new Api<string>({
    baseUrl,
    securityWorker: (token) => ({ headers: { Authorization: `Bearer ${token}` } }),
  });
  const films = await client.films.listFilms(query);
  equal(films.data['2'].Name, 'Ant Man and the Wasp');
  const refused = { message: refusal, error: 'invalid_grant' };
  await rejects(client.token.createToken(wrong), { error: refused });

  const token = await client.token.createToken(account);
  client.setSecurityData(token.data.access_token);
  const body = { ...course, code: 'STA' };
  const answer = await client.courses.createCourse(body);
  equal(answer.headers.get('Location'), '/courses/STA');
  // It reads no error where the answer itself is empty, unless it is asked to.
  const again = client.courses.createCourse(body, { format: 'json' });
  await rejects(again, { status: 409, error: { error: conflict } });
}

async function main() {
  await useHeyApi();
  await useOpenapiFetch();
  await useSwaggerTypescriptApi();
}

main();
