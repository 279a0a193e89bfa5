{#- A form is good once: the second half of a double click would be answered with an error page. -#}
let sent = false;
addEventListener("submit", event => {
  if (sent) event.preventDefault();
  else {
    sent = true;
    setTimeout(() => { sent = false; }, 3000);
  }
});
