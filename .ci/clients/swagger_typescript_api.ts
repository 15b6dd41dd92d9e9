// Use the client that swagger-typescript-api makes.
import { equal, rejects } from 'node:assert/strict';
import { Api } from './client';

const client = new Api<string>({
  baseUrl: process.argv[2],
  securityWorker: (token) => ({ headers: { Authorization: `Bearer ${token}` } }),
});

async function main() {
  const films = await client.films.listFilms({ sort: ['-Year', 'Name'] });
  equal(films.data['2'].Name, 'Ant Man and the Wasp');

  await rejects(
    client.token.createToken({ username: 'USERNAME', password: 'wrong' }),
    { error: {
      message: 'username or password is not correct',
      error: 'invalid_grant',
      error_description: 'username or password is not correct',
    } },
  );

  const token = await client.token.createToken({
    username: 'USERNAME',
    password: 'PASSWORD',
  });
  client.setSecurityData(token.data.access_token);

  const course = { code: 'STA', name: 'Clients', instructor: 'Ada Lovelace' };
  const answer = await client.courses.createCourse(course);
  equal(answer.status, 201);
  equal(answer.headers.get('Location'), '/courses/STA');

  // It reads no error where the answer itself is empty, unless it is asked to.
  await rejects(
    client.courses.createCourse(course, { format: 'json' }),
    { status: 409, error: { error: 'This course code is in use' } },
  );
}

main();
