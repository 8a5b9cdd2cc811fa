// A stream of the server's that breaks off is told to Gradio's page as broken, and as closed.
//
// Gradio 6.31 takes it for open still, so that nothing the page asks for after a restart of the server is ever answered.
// Once told, it opens another; what was being waited for is lost, and then it says so and loads the page anew.

const LOST = ['{"msg": "broken_connection", "message": "Connection errored out. "}', '{"msg": "close_stream"}'];
const CLOSED = '"close_stream"';

const ask = window.fetch;
window.fetch = async function (address) {
  const answer = await ask.apply(this, arguments);
  const stream = String(address?.url ?? address).includes("/queue/data?") && answer.ok;
  return stream && answer.body ? new Response(whole(answer.body), answer) : answer;
};

/** @param {ReadableStream<Uint8Array>} body @returns {ReadableStream<Uint8Array>} */
function whole(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let last = "";
  const lose = (controller) => {
    controller.enqueue(new TextEncoder().encode(LOST.map((message) => `data: ${message}\n\n`).join("")));
    controller.close();
  };
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          last = (last + decoder.decode(value, { stream: true })).slice(-100);
          controller.enqueue(value);
        } else if (last.includes(CLOSED)) controller.close();
        else lose(controller);
      } catch (problem) {
        if (problem.name === "AbortError") controller.error(problem); // the page itself has closed it
        else lose(controller);
      }
    },
    cancel: (why) => reader.cancel(why),
  });
}
