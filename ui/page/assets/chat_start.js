// The chat begins: the one in the address, the one shown last, or a new one. It follows the others.
const asked = R.address();
const wanted = asked.tab === 'chat' && asked.place ? asked.place : R.read('rapport-chat-shown');
show(book().chats.find(c => c.key === wanted) ?? book().chats[0] ?? fresh(), true);
R.start();
pump();
