// Use the client that @hey-api/openapi-ts makes.
import { equal, ok } from 'node:assert/strict';
import { createCourse, createToken, listFilms } from './client';
import { client } from './client/client.gen';

client.setConfig({ baseUrl: process.argv[2] });

async function main() {
  const films = await listFilms({ query: { sort: ['-Year', 'Name'] } });
  ok(films.response?.url.endsWith('?sort=-Year&sort=Name'));
  equal(films.data?.['2'].Name, 'Ant Man and the Wasp');

  const refused = await createToken({
    body: { username: 'USERNAME', password: 'wrong' },
  });
  equal(refused.error?.message, 'username or password is not correct');

  const token = await createToken({
    body: { username: 'USERNAME', password: 'PASSWORD' },
  });
  client.setConfig({ auth: token.data?.access_token });
  const body = { code: 'HEY', name: 'Clients', instructor: 'Ada Lovelace' };

  const course = await createCourse({ body });
  equal(course.response?.status, 201);
  equal(course.response?.headers.get('Location'), '/courses/HEY');

  const again = await createCourse({ body });
  ok(again.error && 'error' in again.error);
  equal(again.error.error, 'This course code is in use');
}

main();
